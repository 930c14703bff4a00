// What Mamba-2 (SSD) does to rows before and after the recurrence. docs/operators.md. Widths are multiples of a vector.
#include "kernel.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

// y = log(1 + e^x). y may be x.
LATHE_KERNEL(softplus, once) {
  auto x = kernel.buffer("x", 1);
  Var i("i");
  Func y("y");
  y(i) = softplus(x(i));
  kernel.output(Role::copy, y);
}

// y = x + d v, past the recurrence. y may be x.
LATHE_KERNEL(skip_rows, once) {
  auto x = kernel.buffer("x"), v = kernel.buffer("v");
  auto d = kernel.each<float>("d");
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = x(c, i) + d * v(c, i);
  kernel.output(Role::copy, y);
}

// y = x silu(z). y may be x.
LATHE_KERNEL(gate_rows, once) {
  auto x = kernel.buffer("x"), z = kernel.buffer("z");
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = x(c, i) * (z(c, i) / (1.f + exponential(-z(c, i))));
  kernel.output(Role::copy, y);
}

// The gradient by z of x silu(z), d being that of the product. d(V, C), x(V, C), z(V, C); y may be x.
LATHE_KERNEL(gate_slopes, once) {
  auto d = kernel.buffer("d"), x = kernel.buffer("x"), z = kernel.buffer("z");
  Var c("c"), i("i");
  Expr sigmoid = 1.f / (1.f + exponential(-z(c, i)));
  Func y("y");
  y(c, i) = d(c, i) * x(c, i) * (sigmoid * (1.f + z(c, i) * (1.f - sigmoid)));
  kernel.output(Role::copy, y);
}
