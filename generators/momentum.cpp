// What momenta are made of, for devices, where the host has no number of the caller's. docs/operators.md.
//
// b = exp(g) is what a token leaves of the momentum of a head, and gamma its step size.
#include <functional>
#include <limits>

#include "kernel.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

// 1 + b + ... + b^(n - 1) = (b^n - 1) / (b - 1), neither of which cancels where b is near 1.
Expr sum_of_powers(const Expr& g, const Expr& n) {
  Expr terms = cast<float>(n), quotient = exponential_less_one(terms * g) / exponential_less_one(g);
  return select(n <= 0, 0.f, strict_float(g == 0.f), terms, quotient);
}

}  // namespace

// What a token's value counts for where n - i tokens, itself among them, have moved the state since. by(C).
LATHE_KERNEL(momentum_weights, device) {
  Expr n = kernel.each<int32_t>("n"), g = kernel.each<float>("g"), gamma = kernel.each<float>("gamma");
  kernel.numbers("by", [&](const Expr& i) { return gamma * sum_of_powers(g, n - i); });
}

namespace {

// The length of f(r), however far its square is from what a float32 holds; a NaN stays one.
Expr length(Kernel& kernel, const Var& i, const RDom& r, const std::function<Expr(Expr)>& f) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  Func largest("largest"), sum("sum");
  largest(i) = 0.f;
  largest(i) = max(largest(i), abs(f(r)));
  Expr unit = select(less(0.f, largest(i)) && less(largest(i), infinite), largest(i), 1.f), scaled = f(r) / unit;
  sum(i) += scaled * scaled;
  for (const Func& func : {largest, sum}) kernel.label(Role::row_sum, func);
  return unit * sqrt(sum(i));
}

}  // namespace

// How far a token's k^T v lies from that of the one before it, and how long the momentum is: the lengths of their rows.
// k(K), k_last(K), v(V), v_last(V), p(V, K), of which `keys` and `values` are no padding: zero times an infinity is
// NaN. Tokens that are the same lie exactly nowhere apart.
LATHE_KERNEL(adaptive_rows, device) {
  auto k = kernel.buffer("k", 1), k_last = kernel.buffer("k_last", 1), v = kernel.buffer("v", 1),
       v_last = kernel.buffer("v_last", 1), p = kernel.buffer("p");
  auto keys = kernel.number<int32_t>("keys"), values = kernel.number<int32_t>("values");
  Var key("key");
  RDom x(0, v.dim(0).extent(), "x");
  Func rows("rows");
  const auto apart = [&](const Expr& c) {
    Expr difference = (k(key) - k_last(key)) * v(c) + k_last(key) * (v(c) - v_last(c));
    // sums of infinities of either sign are not what their differences are
    return select(less(abs(difference), std::numeric_limits<float>::infinity()), difference,
                  k(key) * v(c) - k_last(key) * v_last(c));
  };
  const auto within = [&](const std::function<Expr(Expr)>& f) {
    return length(kernel, key, x, [&](const Expr& c) { return select(key < keys && c < values, f(c), 0.f); });
  };
  rows(key) = Tuple(within(apart), within([&](const Expr& c) { return p(c, key); }));
  kernel.output(Role::per_token, rows);
}

// From those what a token leaves of the momentum and takes of itself. apart(K), size(K) -> kept(16), taken(16).
LATHE_KERNEL(adaptive_moved, device) {
  auto apart = kernel.buffer("apart", 1), size = kernel.buffer("size", 1);
  Expr gamma = kernel.each<float>("gamma");
  Var lane("lane");
  RDom key(0, apart.dim(0).extent(), "key");
  Func moved("moved");
  const auto of = [&](const ImageParam& rows) {
    return length(kernel, lane, key, [&](const Expr& c) { return rows(c); });
  };
  Expr momentum = of(size), root = 1.f - sqrt(gamma * of(apart) / momentum), kept = root * root;
  constexpr float most = 1 - 1e-4;
  Expr none = strict_float(momentum == 0.f);
  moved(lane) = Tuple(select(none, 0.f, less(most, kept), most, kept), select(none, 1.f, gamma));
  kernel.output(Role::per_token, moved);
}
