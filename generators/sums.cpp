// The normaliser's sums over tokens: docs/operators.md.
#include "decay.h"
#include "kernel.h"
#include "row_sums.h"
#include "transitions.h"

using namespace Halide;
using namespace lathe::gen;

// z_out = exp(b_C) z + sum_j exp(b_C - b_j) k_j. k(K, C), z(K), b(C, 2); z_out may be z.
LATHE_KERNEL(key_sum, uniform) {
  auto k = kernel.buffer("k");
  auto z = kernel.buffer("z", 1);
  Var c("c"), j("j");
  RDom token(0, kernel.extent(k, 1), "token");
  Expr left = z(c), weight = 1.f;
  Func sum("sum"), z_out("z_out");
  if (decays(kernel.axis())) {
    const Decay decay(kernel);
    Expr last = k.dim(1).extent() - 1;
    Func rest("rest");
    rest(j) = decay.between(last, j);
    kernel.label(Role::table, rest);
    left *= decay.since(last);
    weight = rest(token);
  }
  sum(c) += k(c, token) * weight;
  z_out(c) = left + sum(c);
  kernel.label(Role::column_sum, sum);
  kernel.output(Role::vector, z_out);
}

// The same where each key has a gate of its own, with k(K, C), left(K) and rise(K) as in state.cpp, for devices: on
// CPUs nothing with such gates is summed by chunks.
LATHE_KERNEL(key_sum_keys, device) {
  auto k = kernel.buffer("k"), z = kernel.buffer("z", 1);
  auto left = kernel.buffer("left", 1), rise = kernel.buffer("rise", 1);
  Var c("c");
  RDom token(0, kernel.extent(k, 1), "token");
  Func sum("sum"), z_out("z_out");
  sum(c) += k(c, token);
  z_out(c) = left(c) * z(c) + rise(c) * sum(c);
  kernel.label(Role::column_sum, sum);
  kernel.output(Role::vector, z_out);
}

// One token of several heads, a row each: z_out = a z + k. k(K, H), z(K, H), a(H); z_out may be z.
LATHE_KERNEL(key_step, once) {
  auto k = kernel.buffer("k"), z = kernel.buffer("z"), a = kernel.buffer("a", 1);
  kernel.rows("z_out", [&](const Expr& c, const Expr& i) { return a(i) * z(c, i) + k(c, i); });
}

// inv_i = 1 / (q_i.z_i + eps), or 1 / max(q_i.z_i, eps). q(K, C), z(K, C), inv(C); K a multiple of 16. Rows that share
// a normaliser give z a row stride of zero.
LATHE_KERNEL(fixed_denominator, once) {
  auto q = kernel.buffer("q"), z = kernel.buffer("z");
  const Denominator denominator(kernel);
  const Func sums = sums_of_rows(kernel, q, [&](const Expr& c, const Expr& i) { return q(c, i) * z(c, i); });
  kernel.numbers("inv", [&](const Expr& i) { return denominator.inverse(sums(i)); });
}

// What a device makes of both at once, where the heads of a token are `rows` rows of an item: z_out as key_step has it
// and, before it leaves the registers, inv_i of that and q(K, H). a(H) may have any stride.
LATHE_KERNEL(sum_step, device) {
  constexpr int lanes = 16;
  auto q = kernel.tokens("q"), k = kernel.tokens("k"), z = kernel.tokens("z"), a = kernel.buffer("a", 1);
  a.dim(0).set_stride(Expr());
  Expr rows = kernel.each<int32_t>("rows");
  const Denominator denominator(kernel);
  Var c("c"), i("i"), lane("lane");
  RDom block(0, q.dim(0).extent() / lanes, "block"), of_lane(0, lanes, "of_lane");
  block.where(i < rows);
  Func z_out("z_out"), partial("partial"), sum("sum");
  z_out(c, i) = a(min(i, a.dim(0).extent() - 1)) * z(c, i) + k(c, i);
  partial(lane, i) += q(block * lanes + lane, i) * z_out(block * lanes + lane, i);
  sum(i) += partial(of_lane, i);
  kernel.label(Role::lanes, partial);
  kernel.label(Role::row_sum, sum);
  kernel.output_of_state(Role::recurrence, z_out);
  kernel.numbers("inv", [&](const Expr& row) { return denominator.inverse(sum(row)); });
}
