// One chunk of causal outputs: O = (Q * exp b) H + tril(Q K^T * E) V, each row over its denominator. docs/operators.md.
//
// q(K, C), kt(C, K), of which devices take k(K, C), v(V, C), h(V, K): the state that enters; b(C, 2): inclusive sums of
// the log decays since the chunk began, as in decay.h. A gate for each key dimension comes as key_gates.cpp makes it: q
// as the state that entered wants it, near(K, C) the same from where the row's block begins, kt with factors of its
// own, whole(C, K) transposed, reached(K, C / g) where each block begins, and the scores inside the blocks on the
// diagonal in pairs. Normalised: z(K), the keys' sum that enters; a row is divided by q.z + eps, or by max(q.z, eps).
// Where the state has a momentum p(V, K), that is read by rows of its own, moved(K, C), keys by near(K, C), and what
// token j gives to token i is weighed by by(C - 1 - i + j); by(2 C).
#include <optional>

#include "decay.h"
#include "kernel.h"
#include "row_sums.h"
#include "transitions.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

// sum(i) = sum over c of value(c, i), c in [0, blocks * lanes): by lanes first, then across them.
struct LaneSum {
  Func partial{"partial"}, sum{"sum"};
  Var u{"u"}, i{"i"};
  int lanes;
  explicit LaneSum(int n) : lanes(n) { partial(u, i) = 0.f; }
  Expr column(const RVar& block) const { return block * lanes + u; }
  void finish(Kernel& kernel) {
    RDom lane(0, lanes, "lane");
    sum(i) += partial(lane, i);
    kernel.label(Role::lanes, partial);
    kernel.label(Role::row_sum, sum);
  }
};

void define(Kernel& kernel, bool normalise) {
  const int g = kernel.grain(), chunk = kernel.chunk();
  auto q = kernel.tokens("q"), kt = kernel.columns_of_tokens("kt"), v = kernel.tokens("v"), h = kernel.buffer("h");
  Var x("x"), i("i"), j("j");
  RDom key(0, kernel.extent(q, 0), "key");
  Expr first = i / g * g;  // of the block of rows that walks the triangle together

  Func product("product"), scores("scores"), numerator("numerator"), o("o");
  ImageParam pairs;
  const bool keyed = gates_keys(kernel.axis()), moves = has_momentum(kernel.axis());
  numerator(x, i) += kernel.multiplier(q, key, i) * h(x, key);
  LaneSum below(chunk % 16 == 0 ? 16 : 8);
  std::optional<Denominator> denominator;
  if (normalise) {
    auto z = kernel.buffer("z", 1);
    denominator.emplace(kernel);
    RDom block(0, q.dim(0).extent() / below.lanes, "block");
    below.partial(below.u, below.i) += q(below.column(block), below.i) * z(below.column(block));
  }
  if (keyed) {
    auto near = kernel.buffer("near"), whole = kernel.columns("whole"), reached = kernel.buffer("reached");
    pairs = kernel.buffer("pairs");
    product(j, i) +=
        kernel.multiplier(near, key, i) * (kt(j, key) * power_of_whole(reached(key, i / g) - whole(j, key)));
  } else {
    const ImageParam near = moves ? kernel.buffer("near") : q;
    product(j, i) += kernel.multiplier(near, key, i) * kt(j, key);
  }
  if (decays(kernel.axis())) {
    const Decay decay(kernel);
    scores(j, i) = product(j, i) * decay.between(i, j);
    numerator(x, i) *= decay.since(i);
    if (normalise) below.partial(below.u, below.i) *= decay.since(below.i);
  } else if (moves) {
    auto p = kernel.buffer("p"), moved = kernel.buffer("moved");
    Expr weight = kernel.buffer("by", 1)(chunk - 1 - i + j);
    numerator(x, i) += kernel.multiplier(moved, key, i) * p(x, key);
    // a denominator sums keys as they are
    Expr met = product(j, i);
    scores(j, i) = normalise ? Tuple(met * weight, met) : Tuple(met * weight);
  } else {
    scores(j, i) = product(j, i);
  }
  const auto score = [&](const Expr& a, const Expr& b) {
    return scores.outputs() == 1 ? Expr(scores(a, b)) : Expr(scores(a, b)[0]);
  };

  // Whole blocks of rows before this one need no mask. Inside the block on the diagonal the product itself is
  // dropped, not multiplied by zero: 0 * NaN of a later token would be NaN.
  RDom before(0, chunk, "before"), inside(0, g, "inside");
  before.where(before / g < i / g);
  numerator(x, i) += kernel.multiplier(score, before, i) * v(x, before);
  Expr near_score = keyed ? pairs(inside, i) : score(first + inside, i);
  numerator(x, i) += select(inside <= i % g, near_score * v(x, first + inside), 0.f);

  if (normalise) {
    RDom block(0, chunk / below.lanes, "block");
    block.where(block * below.lanes < below.i / g * g + g);
    Expr column = below.column(block);
    Expr counted = moves ? Expr(scores(column, below.i)[1]) : Expr(scores(column, below.i));
    below.partial(below.u, below.i) += select(column <= below.i, counted, 0.f);
    below.finish(kernel);
    Func inv("inv");
    inv(i) = denominator->inverse(below.sum(i));
    o(x, i) = numerator(x, i) * inv(i);
    kernel.label(Role::per_row, inv);
  } else {
    o(x, i) = numerator(x, i);
  }
  kernel.label(Role::outer, product);
  kernel.label(Role::scores, scores);
  kernel.label(Role::numerator, numerator);
  kernel.output_of_tokens(Role::output, o);
}

}  // namespace

LATHE_KERNEL(causal, transitions) { define(kernel, false); }

LATHE_KERNEL(causal_normalised, uniform) { define(kernel, true); }
