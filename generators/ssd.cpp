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
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return x(c, i) + d * v(c, i); });
}

// y = x silu(z). y may be x.
LATHE_KERNEL(gate_rows, once) {
  auto x = kernel.buffer("x"), z = kernel.buffer("z");
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return x(c, i) * (z(c, i) / (1.f + exponential(-z(c, i)))); });
}

// The gradient by z of x silu(z), d being that of the product. d(V, C), x(V, C), z(V, C); y may be x.
LATHE_KERNEL(gate_slopes, once) {
  auto d = kernel.buffer("d"), x = kernel.buffer("x"), z = kernel.buffer("z");
  kernel.rows("y", [&](const Expr& c, const Expr& i) {
    Expr sigmoid = 1.f / (1.f + exponential(-z(c, i)));
    return d(c, i) * x(c, i) * (sigmoid * (1.f + z(c, i) * (1.f - sigmoid)));
  });
}

// From what tokens give to their log decays and to values by their steps, to what they give to those, for devices:
// of_steps(C), and of_decay(C) to the head's decay. steps(C), as they were before any was clamped, of_decays(C),
// of_values(C).
LATHE_KERNEL(step_slopes, device) {
  auto steps = kernel.buffer("steps", 1), of_decays = kernel.buffer("of_decays", 1),
       of_values = kernel.buffer("of_values", 1);
  Expr decay = kernel.each<float>("decay");
  Expr soft = kernel.number<int32_t>("soft"), clamped = kernel.number<int32_t>("clamped");
  Var i("i");
  Func of_steps("of_steps"), of_decay("of_decay");
  Expr none = clamped == 1 && less(steps(i), 0.f), sum = of_values(i) + decay * of_decays(i);
  // a softplus' slope is the sigmoid of what it was taken of
  of_steps(i) = select(none, 0.f, soft == 1, sum * -exponential_less_one(-steps(i)), sum);
  of_decay(i) = select(none, 0.f, steps(i)) * of_decays(i);
  kernel.output(Role::per_token, of_steps);
  kernel.output(Role::per_token, of_decay);
}
