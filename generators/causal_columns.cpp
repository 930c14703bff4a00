// One chunk of causal outputs whose columns have gates: o_ic = exp(b_ic) q_i h_c + sum_j (q_i . k_j) v_jc exp(b_ic -
// b_jc). What the gradients by queries and keys are where each key dimension has a gate. docs/operators.md.
//
// q(K, C), kt(C, K), v(V, C), h(V, K) as in causal.cpp; down(V, C): v as gate_keys makes it; whole(V, C + 1) and
// rest(V, C + 1) of gate_sums; u(V): the weight of a token's own v.
#include "key_gates.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(causal_columns, once) {
  const int g = kernel.grain(), chunk = kernel.chunk();
  auto q = kernel.buffer("q"), kt = kernel.columns("kt"), v = kernel.buffer("v"), down = kernel.buffer("down");
  auto h = kernel.buffer("h"), u = kernel.buffer("u", 1);
  const GateSums b(kernel);
  const Lag lag(kernel);
  Var x("x"), i("i"), j("j");
  RDom key(0, kernel.extent(q, 0), "key"), before(0, chunk, "before"), inside(0, g, "inside");
  Expr first = i / g * g, seen = lag.seen(i);

  Func product("product"), scores("scores"), numerator("numerator"), o("o");
  product(j, i) += q(key, i) * kt(j, key);
  scores(j, i) = product(j, i);
  // Sums decay as they go: to where the row's block begins, whose keys come pair by pair, then to the row itself.
  // Whole numbers are subtracted exactly, and no difference is above 0; the fractions come last.
  const auto at = [&](const Expr& row) { return b.whole(x, row); };
  numerator(x, i) += q(key, i) * h(x, key);
  numerator(x, i) *= power_of_whole(at(first));
  before.where(before / g < i / g);
  numerator(x, i) += scores(before, i) * (down(x, before) * power_of_whole(at(first) - at(before + 1)));
  numerator(x, i) *= power_of_whole(at(seen) - at(first));
  Expr earlier = first + inside;
  numerator(x, i) +=
      select(inside < i % g, scores(earlier, i) * (down(x, earlier) * power_of_whole(at(seen) - at(earlier + 1))), 0.f);
  numerator(x, i) *= power_of_fraction(b.rest(x, seen));
  numerator(x, i) += scores(i, i) * (u(x) * v(x, i));
  o(x, i) = numerator(x, i);
  kernel.label(Role::outer, product);
  kernel.label(Role::scores, scores);
  kernel.label(Role::numerator, numerator);
  kernel.output(Role::output, o);
}
