// The recurrence itself, for a few tokens of one head: S_i = a_i S_{i-1} + k_i^T v_i, o_i = inv_i q_i S_i, where a_i is
// 1 or a number for each key. docs/operators.md.
//
// q(K, n), k(K, n), v(V, n), inv(n), h(V, K), a(K, n); o(V, n), h_out(V, K), which may be h itself. In the end each row
// of that is multiplied by left(K), of which there may be none. Where queries read the state before their token, own(n)
// is what its key gives to them.
//
// A row of the state is read and written once for those tokens, and outputs stay in registers: no sum over pairs of
// tokens, and nothing is computed for a chunk as a whole. It has the fewest products that there can be, two for each
// number of a state and token.
//
// Of the delta rule a token adds x_i = beta_i (v_i - k_i S_{i-1}). has(V, n) is what the state that enters has for
// these tokens' keys, pairs(n - 1, n) what they take from one another by beta, of the token j + 1 before; has_out(V, n)
// is the same for next(K, n), the keys of the tokens that follow.
#include "key_gates.h"
#include "row_sums.h"
#include "stretch.h"

using namespace Halide;
using namespace lathe::gen;
using lathe::kFewSums, lathe::kLanes;

namespace {

// Rows of a state that take a few tokens, each row all of them: after(x, row, token, state) is what a token makes of
// what those before it have left.
class FewTokens {
 public:
  const int few;
  Var x{"x"}, i{"i"};
  RDom key;
  Func h_out;

  template <typename After>
  FewTokens(Kernel& kernel, int tokens, const ImageParam& h, After after)
      : few(tokens), key(0, h.dim(1).extent(), "key"), h_out(h.name() + "_out"), kernel_(kernel) {
    Var row("row");
    RDom token(0, few, "token");
    states_(x, row, i) = undef<float>();
    states_(x, row, 0) = h(x, row);
    states_(x, row, token + 1) = after(Expr(x), Expr(row), Expr(token), states_(x, row, token));
    h_out(x, row) = undef<float>();
    h_out(x, Kernel::in_order(key, h)) = states_(x, key, few);
    kernel_.label(Role::steps, states_);
    kernel_.take(few);
  }

  // After so many tokens.
  Expr state(const Expr& column, const Expr& row, const Expr& tokens) const { return states_(column, row, tokens); }

  // The sum over rows of what token i reads of each, by a weight: with its own part, or, lagging, before it.
  template <typename Weight>
  Func met(const char* name, const Expr& begin, Weight weight, const Expr& lags) {
    return sum(name, begin,
               weight(Expr(x), Expr(key), Expr(i)) * select(lags, states_(x, key, i), states_(x, key, i + 1)));
  }
  // ... of what all of them have left.
  Func met_last(const char* name, const ImageParam& by) { return sum(name, 0.f, by(key, i) * states_(x, key, few)); }

 private:
  Func sum(const char* name, const Expr& begin, const Expr& term) {
    Func met(name);
    met(x, i) = begin;
    met(x, i) += term;
    kernel_.label(Role::met, met);
    return met;
  }

  Kernel& kernel_;
  Func states_{"states"};
};

// What a token makes of a row of the state, where each adds k^T x. A power of two is exact, so that the sum rounds as
// where there is none.
template <typename Added>
auto adding(const ImageParam& k, const ImageParam& a, Added added) {
  return [=](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return (a.defined() ? rounded_product(a(row, token), rest) : rest) + k(row, token) * added(x, token);
  };
}

void leave(Kernel& kernel, FewTokens& tokens, const ImageParam& left) {
  RDom late(0, left.dim(0).extent(), "late");
  tokens.h_out(tokens.x, late) *= left(late);
  kernel.output(Role::walked, tokens.h_out);
}

// What each token reads of the state, by rows q: with its own part, or, lagging, before it.
void read(Kernel& kernel, FewTokens& tokens, const Expr& begin, const ImageParam& q, const ImageParam& inv, bool lags) {
  Func o("o");
  const Func met = tokens.met(
      "met", begin, [&](const Expr&, const Expr& key, const Expr& i) { return q(key, i); }, lags);
  o(tokens.x, tokens.i) = met(tokens.x, tokens.i) * inv(tokens.i);
  kernel.output(Role::few_rows, o);
}

void recur(Kernel& kernel, bool keyed, bool before, bool reads = true) {
  ImageParam q, inv, a, own;
  if (reads) q = kernel.buffer("q");
  auto k = kernel.buffer("k"), v = kernel.buffer("v"), left = kernel.buffer("left", 1);
  if (reads) inv = kernel.buffer("inv", 1);
  auto h = kernel.buffer("h");
  if (keyed) a = kernel.buffer("a");
  if (before) own = kernel.buffer("own", 1);
  FewTokens tokens(kernel, kernel.grain(), h, adding(k, a, v));
  if (reads) read(kernel, tokens, before ? own(tokens.i) * v(tokens.x, tokens.i) : 0.f, q, inv, before);
  leave(kernel, tokens, left);
}

void correct(Kernel& kernel, bool keyed) {
  const int few = kernel.grain();
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), v = kernel.buffer("v"), left = kernel.buffer("left", 1);
  auto inv = kernel.buffer("inv", 1), h = kernel.buffer("h"), next = kernel.buffer("next"), has = kernel.buffer("has");
  auto beta = kernel.buffer("beta", 1);
  auto pairs = kernel.buffer("pairs");
  ImageParam a;
  if (keyed) a = kernel.buffer("a");
  Func added("added"), has_out("has_out");
  Var x("x"), i("i");
  // strict, or both kernels would not add them in one order: whether gates are mild must not show
  added(x, i) = strict_float(beta(i) * (v(x, i) - has(x, i)));
  RDom pair(0, few - 1, 0, few, "pair");
  pair.where(pair.x < pair.y);
  const Expr earlier = added(x, max(pair.y - 1 - pair.x, 0));
  added(x, pair.y) = strict_float(added(x, pair.y) - pairs(pair.x, pair.y) * earlier);
  kernel.label(Role::added, added);
  FewTokens tokens(kernel, few, h, adding(k, a, added));
  read(kernel, tokens, 0.f, q, inv, false);
  const Func met = tokens.met_last("following", next);
  has_out(tokens.x, tokens.i) = met(tokens.x, tokens.i);
  kernel.output(Role::few_rows, has_out);
  leave(kernel, tokens, left);
}

}  // namespace

// What queries divide by: of z, the sum of keys that enters, inv_i = 1 / (q_i.z_i + eps), or 1 over the larger of the
// two. q(K, n), k(K, n), a(K, n), left, own and the rows that queries see as above, n = kFewSums; h and h_out are z,
// whose K numbers lie in rows of kLanes.
LATHE_KERNEL(recurrence_sums, host) {
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), a = kernel.buffer("a"), left = kernel.buffer("left");
  auto own = kernel.buffer("own", 1), h = kernel.buffer("h");
  const Lag lag(kernel);
  const Denominator denominator(kernel);
  FewTokens tokens(kernel, kFewSums, h, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    const Expr key = row * kLanes + x;
    return rounded_product(a(key, token), rest) + k(key, token);
  });
  const Var x = tokens.x, i = tokens.i;
  const Func met = tokens.met(
      "met", 0.f, [&](const Expr& u, const Expr& row, const Expr& token) { return q(row * kLanes + u, token); },
      lag.lags());
  Func sum("sum"), inv("inv");
  RDom lane(0, kLanes, "lane"), late(0, left.dim(1).extent(), "late");
  sum(i) += met(lane, i);
  inv(i) = denominator.inverse(sum(i) + select(lag.lags(), own(i), 0.f));
  tokens.h_out(x, late) *= left(x, late);
  kernel.label(Role::few_sums, sum);
  kernel.output(Role::few_numbers, inv);
  kernel.output(Role::walked, tokens.h_out);
}

LATHE_KERNEL(recurrence, host) { recur(kernel, false, false); }
LATHE_KERNEL(recurrence_before, host) { recur(kernel, false, true); }
LATHE_KERNEL(recurrence_keys, host) { recur(kernel, true, false); }
LATHE_KERNEL(recurrence_keys_before, host) { recur(kernel, true, true); }
// The state alone, with the bits that the others give it.
LATHE_KERNEL(recurrence_state, broadcast) { recur(kernel, false, false, false); }
namespace {

// With a momentum p(V, K): P' = kept P - taken k^T v, S' = S - P'.
void move(Kernel& kernel, int few) {
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), v = kernel.buffer("v"), inv = kernel.buffer("inv", 1);
  auto h = kernel.buffer("h"), p = kernel.buffer("p");
  auto kept = kernel.number<float>("kept"), taken = kernel.number<float>("taken");
  p.dim(1).set_extent(h.dim(1).extent());  // or what is left of the longer one would be a loop of its own
  const FewTokens momentum(kernel, few, p, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return kept * rest - k(row, token) * (taken * v(x, token));
  });
  FewTokens tokens(kernel, few, h, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return rest - momentum.state(x, row, token + 1);
  });
  read(kernel, tokens, 0.f, q, inv, false);
  kernel.output(Role::walked, tokens.h_out);
  kernel.output(Role::walked, momentum.h_out);
}

}  // namespace

LATHE_KERNEL(recurrence_momentum, broadcast) { move(kernel, kernel.grain()); }
// For the last tokens of a sequence: a momentum moves on where there is none.
LATHE_KERNEL(recurrence_momentum_one, broadcast) { move(kernel, 1); }

LATHE_KERNEL(recurrence_delta, broadcast) { correct(kernel, false); }
LATHE_KERNEL(recurrence_delta_keys, broadcast) { correct(kernel, true); }

// What keys read of a state: k(K, n), h(V, K); o(V, n).
LATHE_KERNEL(recurrence_reads, broadcast) {
  auto k = kernel.buffer("k"), h = kernel.buffer("h");
  Func met("met"), o("o");
  Var x("x"), i("i");
  RDom key(0, h.dim(1).extent(), "key");
  met(x, i) = 0.f;
  met(x, i) += k(key, i) * h(x, key);
  o(x, i) = met(x, i);
  kernel.take(kernel.grain());
  kernel.label(Role::met, met);
  kernel.output(Role::few_rows, o);
}

namespace {

// pairs(n - 1, C): what token i takes, by beta, of what the token j + 1 before it adds: k(K, C), reading(K, C),
// beta(C). Rows may be without the powers of two of their gates, whose sums whole(K, C + 1) are then.
void pair_up(Kernel& kernel, bool keyed) {
  constexpr int lanes = 16;
  auto k = kernel.buffer("k"), reading = kernel.buffer("reading"), beta = kernel.buffer("beta", 1);
  ImageParam whole;
  if (keyed) whole = kernel.buffer("whole");
  Var j("j"), i("i"), lane("lane");
  RDom part(0, k.dim(0).extent() / lanes, "part");
  const Expr key = part * lanes + lane, earlier = max(i - 1 - j, 0);
  Func pair_lanes("pair_lanes"), pairs("pairs");
  pair_lanes(lane, j, i) = 0.f;
  const Expr added = k(key, earlier);
  pair_lanes(lane, j, i) +=
      reading(key, i) *
      (keyed ? rounded_product(added, power_of_whole(whole(key, i + 1) - whole(key, earlier + 1))) : added);
  kernel.label(Role::few_lanes, pair_lanes);
  // halves by name: a reduction would be in another order where a product is strict, and whether gates are mild show
  Func sum = pair_lanes;
  for (int half = lanes / 2; half > 0; half /= 2) {
    Func halves("halves");
    halves(lane, j, i) = sum(lane, j, i) + sum(lane + half, j, i);
    kernel.label(Role::few_lanes, halves);
    sum = halves;
  }
  pairs(j, i) = beta(i) * sum(0, j, i);
  kernel.output(Role::pair, pairs);
}

}  // namespace

LATHE_KERNEL(recurrence_pairs, broadcast) { pair_up(kernel, false); }
LATHE_KERNEL(recurrence_pairs_keys, broadcast) { pair_up(kernel, true); }
