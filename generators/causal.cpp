// One chunk of causal outputs: O = inv * ((Q * exp b) H + tril(Q K^T * E) V). MATH.md B2, B3.
//
// q(K, C), kt(C, K), v(V, C), h(V, K): the state that enters; inv(C): one over the denominator, or the scale;
// b(C): inclusive sums of the log decays since the chunk began.
#include "kernel.h"
#include "transitions.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(causal, transitions) {
  const bool decay = decays(kernel.axis());
  const int g = kernel.grain();
  auto q = kernel.tile("q"), kt = kernel.columns("kt"), v = kernel.tile("v"), h = kernel.tile("h");
  auto inv = kernel.tile("inv", 1);
  Var x("x"), i("i"), j("j");
  RDom key(0, kernel.extent(q, 0), "key");

  Func product("product"), scores("scores"), numerator("numerator"), o("o");
  product(j, i) += q(key, i) * kt(j, key);
  numerator(x, i) += q(key, i) * h(x, key);
  if (decay) {
    auto b = kernel.tile("b", 1);
    Func since("since");
    since(i) = exponential(b(i));
    kernel.label(Role::table, since);
    // never positive where the score is read
    scores(j, i) = product(j, i) * exponential_of_negative(b(i) - b(j));
    numerator(x, i) *= since(i);
  } else {
    scores(j, i) = product(j, i);
  }

  // Whole blocks of rows before this one need no mask. Inside the block on the diagonal the product itself is
  // dropped, not multiplied by zero: 0 * NaN of a later token would be NaN.
  RDom before(0, kernel.chunk(), "before"), inside(0, g, "inside");
  before.where(before / g < i / g);
  numerator(x, i) += scores(before, i) * v(x, before);
  Expr token = i / g * g + inside;
  numerator(x, i) += select(inside <= i % g, scores(token, i) * v(x, token), 0.f);

  o(x, i) = numerator(x, i) * inv(i);
  kernel.label(Role::outer, product);
  kernel.label(Role::scores, scores);
  kernel.label(Role::numerator, numerator);
  kernel.output(Role::output, o);
}
