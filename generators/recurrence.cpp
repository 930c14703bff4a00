// The recurrence itself, for a few tokens of one head: S_i = a_i S_{i-1} + k_i^T v_i, o_i = inv_i q_i S_i, where a_i is
// 1 or a number for each key. docs/operators.md.
//
// q(K, n), k(K, n), v(V, n), each by weight(n), inv(n), h(V, K), a(K, n); o(V, n), h_out(V, K), which is h itself.
// Where queries read the state before their token, own(n) is what its key gives to them. Algorithms speak of one tile
// of tokens; kernels take one after the other, and all columns of each, by schedules/tile_loop.h.
//
// A row of the state is read and written once for those tokens, and outputs stay in registers: no sum over pairs of
// tokens, and nothing is computed for a chunk as a whole. It has the fewest products that there can be, two for each
// number of a state and token.
//
// Of the delta rule a token adds x_i = beta_i (v_i - k_i S_{i-1}). reading(K, n) are these tokens' keys, with what
// their gates leave of the state that enters, pairs(n - 1, n) what they take from one another by beta, of the token j +
// 1 before. Where rows A read and rows B add, a token adds b_i^T c_i besides k_i^T v_i, c_i = a_i S_{i-1}: reading is
// of A, by_keys and by_rows(n - 1, n) what it reads of what an earlier token's key and B have added.
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
      : few(tokens), key(0, h.dim(1).extent(), "key"), h_out(h.name() + "_out"), kernel_(kernel), h_(h) {
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

  // The state is what it was made of, in its place.
  void leave() { kernel_.output_in_place(Role::walked, h_out, h_); }

  // After so many tokens.
  Expr state(const Expr& column, const Expr& row, const Expr& tokens) const { return states_(column, row, tokens); }

  // The sum over rows of what token i reads of each, by a weight: with its own part, or, lagging, before it.
  template <typename Weight>
  Func met(const Expr& begin, Weight weight, const Expr& lags) {
    Func met("met");
    met(x, i) = begin;
    met(x, i) += weight(Expr(x), Expr(key), Expr(i)) * select(lags, states_(x, key, i), states_(x, key, i + 1));
    kernel_.label(Role::met, met);
    return met;
  }

 private:
  Kernel& kernel_;
  ImageParam h_;
  Func states_{"states"};
};

// What a token leaves of a row of the state, where it has gates. A power of two is exact, so that the sum that follows
// rounds as where there is none.
Expr left_by(const ImageParam& a, const Expr& row, const Expr& token, const Expr& rest) {
  return a.defined() ? rounded_product(a(row, token), rest) : rest;
}

// What a token makes of a row of the state, where each adds k^T x.
template <typename Added>
auto adding(const ImageParam& k, const ImageParam& a, Added added) {
  return [=](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return left_by(a, row, token, rest) + k(row, token) * added(x, token);
  };
}

// What each token reads of the state, by rows q: with its own part, or, lagging, before it.
void read(Kernel& kernel, FewTokens& tokens, const Expr& begin, const ImageParam& q, const ImageParam& inv, bool lags) {
  Func o("o");
  const Func met = tokens.met(
      begin, [&](const Expr&, const Expr& key, const Expr& i) { return q(key, i); }, lags);
  o(tokens.x, tokens.i) = met(tokens.x, tokens.i) * inv(tokens.i);
  kernel.output_along_tokens(Role::few_rows, o);
}

// What a state takes of values.
Func weighed(Kernel& kernel, const ImageParam& v, const ImageParam& weight) {
  Func values("values");
  Var x("x"), i("i");
  values(x, i) = rounded_product(v(x, i), weight(i));
  kernel.label(Role::added, values);
  return values;
}

void recur(Kernel& kernel, bool keyed, bool before, bool reads = true) {
  ImageParam q, inv, a, own;
  if (reads) q = kernel.along_tokens("q");
  auto k = kernel.along_tokens("k"), v = kernel.values_along_tokens("v"), weight = kernel.along_tokens("weight", 1);
  if (reads) inv = kernel.along_tokens("inv", 1);
  auto h = kernel.buffer("h");
  if (keyed) a = kernel.along_tokens("a");
  if (before) own = kernel.along_tokens("own", 1);
  kernel.ask("coming");
  const Func values = weighed(kernel, v, weight);
  FewTokens tokens(kernel, kernel.grain(), h, adding(k, a, values));
  if (reads) read(kernel, tokens, before ? own(tokens.i) * values(tokens.x, tokens.i) : 0.f, q, inv, before);
  tokens.leave();
}

// What the tokens of a tile find in the state that enters it, own(x, i), and then of each token before: step(so far, x,
// i, n, what has come of the token n + 1 before it). Oldest first: what came last is what the next token waits for.
template <typename Own, typename Step>
Func in_turn(Kernel& kernel, const char* name, Own own, Step step) {
  Func f(name);
  Var x("x"), i("i");
  // strict, or kernels of mild gates and of others would not add them in one order: which it is must not show
  f(x, i) = strict_float(own(Expr(x), Expr(i)));
  RDom pair(0, kernel.grain() - 1, 0, kernel.grain(), "pair");
  pair.where(pair.x < pair.y);
  f(x, pair.y) = strict_float(step(f(x, pair.y), Expr(x), Expr(pair.y), max(pair.y - 1 - pair.x, 0), f(x, pair.x)));
  kernel.label(Role::added, f);
  return f;
}

// Where tokens read the state before they add to it: what each has of the state that enters, by rows of its own, in a
// loop of its own. One loop with what the next tile's tokens have of it, so that each row is loaded once, is as fast
// for the delta rule, and for two rows of each token slower by a fifth: sums then leave no registers to what is added.
struct Readers {
  ImageParam q, k, v, weight, inv, h, reading, a;
  Func has{"has"}, values;
  Readers(Kernel& kernel, bool keyed)
      : q(kernel.along_tokens("q")),
        k(kernel.along_tokens("k")),
        v(kernel.values_along_tokens("v")),
        weight(kernel.along_tokens("weight", 1)),
        inv(kernel.along_tokens("inv", 1)),
        h(kernel.buffer("h")),
        reading(kernel.along_tokens("reading")),
        values(weighed(kernel, v, weight)) {
    if (keyed) a = kernel.along_tokens("a");
    Var x("x"), i("i");
    RDom key(0, h.dim(1).extent(), "key");
    has(x, i) = 0.f;
    has(x, i) += reading(key, i) * h(x, key);
    kernel.label(Role::read_first, has);
  }

  template <typename After>
  void finish(Kernel& kernel, After after) const {
    kernel.ask("coming");
    FewTokens tokens(kernel, kernel.grain(), h, after);
    read(kernel, tokens, 0.f, q, inv, false);
    tokens.leave();
  }
};

void correct(Kernel& kernel, bool keyed) {
  const Readers r(kernel, keyed);
  auto beta = kernel.along_tokens("beta", 1), pairs = kernel.along_tokens("pairs");
  const Func added = in_turn(
      kernel, "added", [&](const Expr& x, const Expr& i) { return beta(i) * (r.values(x, i) - r.has(x, i)); },
      [&](const Expr& so_far, const Expr&, const Expr& i, const Expr& n, const Expr& earlier) {
        return so_far - pairs(n, i) * earlier;
      });
  r.finish(kernel, adding(r.k, r.a, added));
}

void exchange(Kernel& kernel, bool keyed) {
  const Readers r(kernel, keyed);
  auto b = kernel.along_tokens("b"), by_keys = kernel.along_tokens("by_keys"), by_rows = kernel.along_tokens("by_rows");
  const Func given = in_turn(
      kernel, "given", [&](const Expr& x, const Expr& i) { return r.has(x, i); },
      [&](const Expr& so_far, const Expr& x, const Expr& i, const Expr& n, const Expr&) {
        return so_far + by_keys(n, i) * r.values(x, max(i - 1 - n, 0));
      });
  const Func found = in_turn(
      kernel, "found", [&](const Expr& x, const Expr& i) { return given(x, i); },
      [&](const Expr& so_far, const Expr&, const Expr& i, const Expr& n, const Expr& earlier) {
        return so_far + by_rows(n, i) * earlier;
      });
  // both products before the state takes them: one sum for each token is what the next one waits for
  r.finish(kernel, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return rounded_sum(left_by(r.a, row, token, rest),
                       r.k(row, token) * r.values(x, token) + b(row, token) * found(x, token));
  });
}

}  // namespace

// What queries divide by: of z, the sum of keys that enters, inv_i = 1 / (q_i.z_i + eps), or 1 over the larger of the
// two. q(K, n), k(K, n), a(K, n), own and the rows that queries see as above, n = kFewSums; h and h_out are z, whose K
// numbers lie in rows of kLanes.
LATHE_KERNEL(recurrence_sums, host) {
  auto q = kernel.along_tokens("q"), k = kernel.along_tokens("k"), a = kernel.along_tokens("a");
  auto own = kernel.along_tokens("own", 1), h = kernel.buffer("h");
  const Lag lag(kernel);
  const Denominator denominator(kernel);
  FewTokens tokens(kernel, kFewSums, h, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    const Expr key = row * kLanes + x;
    return rounded_product(a(key, token), rest) + k(key, token);
  });
  const Var x = tokens.x, i = tokens.i;
  const Func met = tokens.met(
      0.f, [&](const Expr& u, const Expr& row, const Expr& token) { return q(row * kLanes + u, token); }, lag.lags());
  Func sum("sum"), inv("inv");
  RDom lane(0, kLanes, "lane");
  sum(i) += met(lane, i);
  inv(i) = denominator.inverse(sum(i) + select(lag.lags(), own(i), 0.f));
  kernel.label(Role::few_sums, sum);
  kernel.output_along_tokens(Role::few_numbers, inv);
  tokens.leave();
}

LATHE_KERNEL(recurrence, host) { recur(kernel, false, false); }
LATHE_KERNEL(recurrence_before, host) { recur(kernel, false, true); }
LATHE_KERNEL(recurrence_keys, host) { recur(kernel, true, false); }
LATHE_KERNEL(recurrence_keys_before, host) { recur(kernel, true, true); }
LATHE_KERNEL(recurrence_rank_one, host) { exchange(kernel, false); }
LATHE_KERNEL(recurrence_rank_one_keys, host) { exchange(kernel, true); }
// The state alone, with the bits that the others give it.
LATHE_KERNEL(recurrence_state, broadcast) { recur(kernel, false, false, false); }
namespace {

// With a momentum p(V, K): P' = kept P - taken k^T v, S' = S - P'.
void move(Kernel& kernel) {
  auto q = kernel.along_tokens("q"), k = kernel.along_tokens("k"), v = kernel.values_along_tokens("v"),
       inv = kernel.along_tokens("inv", 1);
  auto h = kernel.buffer("h"), p = kernel.buffer("p");
  auto kept = kernel.number<float>("kept"), taken = kernel.number<float>("taken");
  kernel.ask("coming");
  p.dim(1).set_extent(h.dim(1).extent());  // or what is left of the longer one would be a loop of its own
  FewTokens momentum(kernel, kernel.grain(), p,
                     [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
                       return kept * rest - k(row, token) * (taken * v(x, token));
                     });
  FewTokens tokens(kernel, kernel.grain(), h, [&](const Expr& x, const Expr& row, const Expr& token, const Expr& rest) {
    return rest - momentum.state(x, row, token + 1);
  });
  read(kernel, tokens, 0.f, q, inv, false);
  tokens.leave();
  momentum.leave();
}

}  // namespace

LATHE_KERNEL(recurrence_momentum, broadcast) { move(kernel); }
// For the last tokens of a sequence: a momentum moves on where there is none.
LATHE_KERNEL(recurrence_momentum_one, broadcast) { move(kernel); }

LATHE_KERNEL(recurrence_delta, broadcast) { correct(kernel, false); }
LATHE_KERNEL(recurrence_delta_keys, broadcast) { correct(kernel, true); }

namespace {

// pairs(n - 1, C): what token i takes, by beta, of what the token j + 1 before it, of its tile, adds: k(K, C),
// reading(K, C), beta(C). Rows may be without the powers of two of their gates, whose sums whole(K, C + 1) are then, of
// which a token reads what is left after `seen`, 1 or, before its own gate, 0.
void pair_up(Kernel& kernel, bool keyed) {
  constexpr int lanes = 16;
  auto k = kernel.buffer("k"), reading = kernel.buffer("reading"), beta = kernel.buffer("beta", 1);
  ImageParam whole;
  Expr seen;
  if (keyed) whole = kernel.buffer("whole"), seen = kernel.number<int32_t>("seen");
  const int few = kernel.grain();
  Var j("j"), i("i"), tile("tile"), lane("lane");
  RDom r(0, few - 1, 0, few, 0, k.dim(0).extent() / lanes, "r");
  r.where(r.x < r.y);
  const Expr key = r.z * lanes + lane, token = tile * few + r.y, earlier = max(token - 1 - r.x, 0);
  const Expr added = k(key, earlier);
  Func pair_lanes("pair_lanes"), pairs("pairs");
  pair_lanes(lane, j, i, tile) = 0.f;
  pair_lanes(lane, r.x, r.y, tile) +=
      reading(key, token) *
      (keyed ? rounded_product(added, power_of_whole(whole(key, token + seen) - whole(key, earlier + 1))) : added);
  kernel.label(Role::few_lanes, pair_lanes);
  // halves by name: a reduction would be in another order where a product is strict, and whether gates are mild show
  Func sum = pair_lanes;
  for (int half = lanes / 2; half > 0; half /= 2) {
    Func halves("halves");
    halves(lane, j, i, tile) = sum(lane, j, i, tile) + sum(lane + half, j, i, tile);
    kernel.label(Role::few_lanes, halves);
    sum = halves;
  }
  RDom pair(0, few - 1, 0, few, 0, k.dim(1).extent() / few, "pair");
  pair.where(pair.x < pair.y);
  const Expr row = pair.z * few + pair.y;
  pairs(j, i) = undef<float>();
  pairs(pair.x, row) = beta(row) * sum(0, pair.x, pair.y, pair.z);
  kernel.output(Role::pair, pairs);
}

}  // namespace

LATHE_KERNEL(recurrence_pairs, host) { pair_up(kernel, false); }
LATHE_KERNEL(recurrence_pairs_keys, host) { pair_up(kernel, true); }
