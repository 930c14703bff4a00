// Rows of a chunk, between its products: what a gradient of a normalised or gated operator needs besides.
// docs/operators.md.
#include "decay.h"
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

// z_i = exp(g_i) z_{i-1} + k_i after each token of a chunk. k(K, C), z(K) enters, b(C, 2) as in causal.cpp: zeros where
// nothing decays, which leave the sums exact.
LATHE_KERNEL(running_sums, once) {
  auto k = kernel.buffer("k");
  auto z = kernel.buffer("z", 1);
  Var c("c"), i("i");
  RDom row(0, k.dim(1).extent(), "row");
  Func z_out("z_out");
  z_out(c, i) = undef<float>();
  Expr before = select(row > 0, z_out(c, max(row - 1, 0)), z(c));
  const Decay decay(kernel);
  Func left("left");
  left(i) = select(i > 0, decay.between(i, max(i - 1, 0)), decay.since(i));
  kernel.label(Role::table, left);
  z_out(c, row) = left(row) * before + k(c, row);
  kernel.output(Role::carried, z_out);
}

// x_i . y_i. x(K, C), y(K, C), dots(C); K a multiple of 16.
LATHE_KERNEL(row_dots, once) {
  constexpr int lanes = 16;
  auto x = kernel.buffer("x"), y = kernel.buffer("y");
  Var i("i");
  RDom key(0, lanes, 0, x.dim(0).extent() / lanes, "key");
  Func sum("sum"), dots("dots");
  Expr column = key.y * lanes + key.x;
  sum(i) += x(column, i) * y(column, i);
  dots(i) = sum(i);
  kernel.label(Role::row_sum, sum);
  kernel.output(Role::per_token, dots);
}

// y = by x, a number for each row. x(K, C), by(C); y may be x.
LATHE_KERNEL(weigh_rows, once) {
  auto x = kernel.buffer("x");
  auto by = kernel.buffer("by", 1);
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = by(i) * x(c, i);
  kernel.output(Role::copy, y);
}

// y = x + by more, a number for each row. x(K, C), more(K, C), by(C); y may be x.
LATHE_KERNEL(add_rows, once) {
  auto x = kernel.buffer("x"), more = kernel.buffer("more");
  auto by = kernel.buffer("by", 1);
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = x(c, i) + by(i) * more(c, i);
  kernel.output(Role::copy, y);
}

// y = x + by a b, a number for each row. x(K, C), a(K, C), b(K, C), by(C); y may be x.
LATHE_KERNEL(add_products, once) {
  auto x = kernel.buffer("x"), a = kernel.buffer("a"), b = kernel.buffer("b");
  auto by = kernel.buffer("by", 1);
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = x(c, i) + by(i) * (a(c, i) * b(c, i));
  kernel.output(Role::copy, y);
}
