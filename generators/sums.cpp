// The normaliser's sums over tokens: docs/operators.md.
#include "kernel.h"
#include "transitions.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

// z_out = exp(b_C) z + sum_j exp(b_C - b_j) k_j. kt(C, K), z(K), b(C) as in causal.cpp; z_out may be z.
LATHE_KERNEL(key_sum, transitions) {
  constexpr int lanes = 8;
  auto kt = kernel.columns("kt");
  auto z = kernel.buffer("z", 1);
  Var u("u"), c("c"), j("j");
  RDom block(0, kt.dim(0).extent() / lanes, "block"), lane(0, lanes, "lane");
  Expr column = block * lanes + u, left = z(c), weight = 1.f;
  Func partial("partial"), sum("sum"), z_out("z_out");
  if (decays(kernel.axis())) {
    auto b = kernel.buffer("b", 1);
    Expr last = b(kt.dim(0).extent() - 1);
    Func rest("rest");
    rest(j) = exponential(last - b(j));
    kernel.label(Role::table, rest);
    left *= exponential(last);
    weight = rest(column);
  }
  partial(u, c) += kt(column, c) * weight;
  sum(c) += partial(lane, c);
  z_out(c) = left + sum(c);
  kernel.label(Role::lanes, partial);
  kernel.label(Role::row_sum, sum);
  kernel.output(Role::per_token, z_out);
}

// inv_i = 1 / (q_i.z + eps), or 1 / max(q_i.z, eps). q(K, C), z(K), inv(C); K a multiple of 16.
LATHE_KERNEL(fixed_denominator, once) {
  constexpr int lanes = 16;
  auto q = kernel.buffer("q"), z = kernel.buffer("z", 1);
  auto eps = kernel.number<float>("eps");
  auto at_least = kernel.number<int32_t>("at_least");
  Var i("i");
  RDom key(0, lanes, 0, q.dim(0).extent() / lanes, "key");
  Func sum("sum"), inv("inv");
  Expr column = key.y * lanes + key.x;
  sum(i) += q(column, i) * z(column);
  inv(i) = 1.f / select(at_least == 1, max(sum(i), eps), sum(i) + eps);
  kernel.label(Role::row_sum, sum);
  kernel.output(Role::per_token, inv);
}
