// Rows of a chunk, between its products: what a gradient of a normalised or gated operator needs besides.
// docs/operators.md.
#include "decay.h"
#include "kernel.h"
#include "row_sums.h"
#include "vmath.h"

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
  left(i) = decay.step(i);
  kernel.label(Role::table, left);
  z_out(c, row) = left(row) * before + k(c, row);
  kernel.output(Role::carried, z_out);
}

// x_i . y_i. x(K, C), y(K, C), dots(C); K a multiple of 16.
LATHE_KERNEL(row_dots, once) {
  auto x = kernel.buffer("x"), y = kernel.buffer("y");
  const Func sums = sums_of_rows(kernel, x, [&](const Expr& c, const Expr& i) { return x(c, i) * y(c, i); });
  kernel.numbers("dots", [&](const Expr& i) { return sums(i); });
}

// The same where each column counts by a number of its own: x_i . (by * y_i). by(K).
LATHE_KERNEL(weighed_dots, host) {
  auto x = kernel.buffer("x"), y = kernel.buffer("y"), by = kernel.buffer("by", 1);
  const Func sums = sums_of_rows(kernel, x, [&](const Expr& c, const Expr& i) { return x(c, i) * by(c) * y(c, i); });
  kernel.numbers("dots", [&](const Expr& i) { return sums(i); });
}

// Sizes of numbers, of which the largest is among them. x(K, C), K a multiple of 16; y(16).
LATHE_KERNEL(peaks, host) {
  constexpr int lanes = 16;
  auto x = kernel.buffer("x");
  Var c("c");
  RDom part(0, x.dim(0).extent() / lanes, 0, x.dim(1).extent(), "part");
  Func peak("peak"), y("y");
  peak(c) = 0.f;
  peak(c) = max(peak(c), abs(x(part.x * lanes + c, part.y)));
  y(c) = peak(c);
  kernel.label(Role::column_sum, peak);
  kernel.output(Role::vector, y);
}

// What makes each row as long as `scale`, for devices: the host has no number of theirs. A row of zeros stays one.
LATHE_KERNEL(unit_rows, device) {
  auto x = kernel.buffer("x");
  Expr eps = kernel.number<float>("eps"), scale = kernel.number<float>("scale");
  const Func sums = sums_of_rows(kernel, x, [&](const Expr& c, const Expr& i) { return x(c, i) * x(c, i); });
  kernel.numbers("by", [&](const Expr& i) {
    Expr square = sums(i) + eps;
    return select(strict_float(square == 0.f), 0.f, scale / sqrt(square));
  });
}

// y = x, but the nearer end of a range outside it, for devices too. A NaN stays.
LATHE_KERNEL(clamp_rows, device) {
  auto x = kernel.buffer("x");
  Expr least = kernel.number<float>("least"), most = kernel.number<float>("most");
  kernel.rows("y", [&](const Expr& c, const Expr& i) {
    return select(less(x(c, i), least), least, less(most, x(c, i)), most, x(c, i));
  });
}

// y = dx, but nothing where an x above 0 counts as 0, for devices too.
LATHE_KERNEL(clamped_slopes, device) {
  auto dx = kernel.buffer("dx"), x = kernel.buffer("x");
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return select(less(0.f, x(c, i)), 0.f, dx(c, i)); });
}

// A denominator's gradient, from q.dq and its own inverse: -q.dq inv, but nothing where eps took its place, whose
// inverse is `most`. dots(C), inv(C).
LATHE_KERNEL(denominator_slopes, once) {
  auto dots = kernel.buffer("dots", 1), inv = kernel.buffer("inv", 1);
  auto at_least = kernel.number<int32_t>("at_least");
  auto most = kernel.number<float>("most");
  kernel.numbers("slopes", [&](const Expr& i) {
    return select(at_least == 1 && strict_float(inv(i) >= most), 0.f, -dots(i) * inv(i));
  });
}

// y = by x, a number for each row. x(K, C), by(C); y may be x.
LATHE_KERNEL(weigh_rows, once) {
  auto x = kernel.buffer("x");
  auto by = kernel.buffer("by", 1);
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return by(i) * x(c, i); });
}

// y = x + by more, a number for each row. x(K, C), more(K, C), by(C); y may be x.
LATHE_KERNEL(add_rows, once) {
  auto x = kernel.buffer("x"), more = kernel.buffer("more");
  auto by = kernel.buffer("by", 1);
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return x(c, i) + by(i) * more(c, i); });
}

// y = x + by a b, a number for each row. x(K, C), a(K, C), b(K, C), by(C); y may be x.
LATHE_KERNEL(add_products, once) {
  auto x = kernel.buffer("x"), a = kernel.buffer("a"), b = kernel.buffer("b");
  auto by = kernel.buffer("by", 1);
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return x(c, i) + by(i) * (a(c, i) * b(c, i)); });
}
