// The normaliser where nothing is causal: MATH.md B1.
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

// z_out = z + sum_i k_i. k(K, C), z(K); z_out may be z.
LATHE_KERNEL(key_sum, once) {
  auto k = kernel.tile("k"), z = kernel.tile("z", 1);
  Var c("c");
  RDom token(0, k.dim(1).extent(), "token");
  Func added("added"), z_out("z_out");
  added(c) += k(c, token);
  z_out(c) = z(c) + added(c);
  kernel.label(Role::column_sum, added);
  kernel.output(Role::vector, z_out);
}

// inv_i = 1 / (q_i.z + eps), or 1 / max(q_i.z, eps). q(K, C), z(K), inv(C); K a multiple of 16.
LATHE_KERNEL(fixed_denominator, once) {
  constexpr int lanes = 16;
  auto q = kernel.tile("q"), z = kernel.tile("z", 1);
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
