// A gate for every dimension of the keys: what becomes of queries and keys before they meet. docs/operators.md.
//
// whole(K, C + 1), rest(K, C + 1): log2 of what is left of each row of the state, of the beginning (row 0) and after
// each token: whole numbers, and what remains of them, at most 1/2 in size.
//
// A query and a key meet in sum_k q_k k_k exp(b_ik - b_jk). The fractions become factors of the two; the whole numbers
// are subtracted exactly, and no difference above 0 is used: against the beginning, against the row where a block of
// queries begins (causal.cpp), and within a block pair by pair.
#include "key_gates.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

// Blocks of rows that walk the triangle together begin at multiples of `block`.
struct Rows : Lag {
  Param<int32_t> block;
  explicit Rows(Kernel& kernel) : Lag(kernel), block(kernel.number<int32_t>("block")) {}
  Expr first(const Expr& i) const { return i / block * block; }
};

}  // namespace

// g(K, C): log gates, at most 0. left(K): of the beginning after the last token; rise(K): its factor that is no power
// of two.
LATHE_KERNEL(gate_sums, once) {
  auto g = kernel.buffer("g");
  Var key("key"), i("i");
  Expr tokens = g.dim(1).extent();
  RDom token(0, tokens, "token");
  Func sums("sums"), left("left"), rise("rise");
  // what is below it leaves nothing, even of the largest number, while sums of infinities would end in NaN
  constexpr float least = -288;
  Expr doublings = g(key, token) * 1.44269504088896341f;
  // the rest first, then the whole numbers: one pass, since the next token waits for what this one stored
  sums(key, i) = Tuple(undef<float>(), undef<float>());
  sums(key, 0) = Tuple(0.f, 0.f);
  Expr sum = sums(key, token)[0] + select(less(doublings, least), least, doublings);
  sums(key, token + 1) = Tuple(sum - nearest_whole(sum), sums(key, token)[1] + nearest_whole(sum));
  Expr rest = sums(key, tokens)[0], whole = sums(key, tokens)[1];
  rise(key) = power_of_fraction(rest);
  left(key) = power_of_fraction(rest) * power_of_whole(whole);
  kernel.output(Role::carried, sums);
  kernel.output(Role::copy, left);
  kernel.output(Role::copy, rise);
}

// q(K, C) -> of the state that entered, of the row where its block begins, and with its own factor only.
LATHE_KERNEL(gate_queries, once) {
  auto q = kernel.buffer("q");
  const GateSums b(kernel);
  const Rows rows(kernel);
  kernel.rows("gated", [&](const Expr& key, const Expr& i) {
    Expr seen = rows.seen(i), up = q(key, i) * power_of_fraction(b.rest(key, seen)), whole = b.whole(key, seen);
    return Tuple(up * power_of_whole(whole), up * power_of_whole(whole - b.whole(key, rows.first(i))), up);
  });
}

// k(K, C) -> with its own factor only, and as the last token leaves it, but for the factor `rise`.
LATHE_KERNEL(gate_keys, once) {
  auto k = kernel.buffer("k");
  const GateSums b(kernel);
  kernel.rows("gated", [&](const Expr& key, const Expr& i) {
    Expr down = k(key, i) * power_of_fraction(-b.rest(key, i + 1));
    return Tuple(down, down * power_of_whole(b.whole(key, k.dim(1).extent()) - b.whole(key, i + 1)));
  });
}

// Where a recurrence takes tokens one by one (recurrence.cpp): each row with the fraction of its gates, `sign` 1 for
// queries, or -1, for keys, and with `wholes` times the whole numbers since the first row. x(K, C); row i has what is
// left after `seen` tokens more. 0 for `wholes` leaves them to the steps of the state; where gates are mild it is
// `sign`, and the state waits for its gates. Powers of two are exact, so that either way gives the same bits.
LATHE_KERNEL(gate_factors, host) {
  auto x = kernel.buffer("x");
  const GateSums b(kernel);
  Expr sign = kernel.number<float>("sign"), wholes = kernel.number<float>("wholes");
  Expr seen = kernel.number<int32_t>("seen");
  kernel.rows("y", [&](const Expr& key, const Expr& i) {
    Expr since = b.whole(key, i + seen) - b.whole(key, 0);
    return x(key, i) * power_of_fraction(sign * b.rest(key, i + seen)) * power_of_whole(wholes * since);
  });
}

// ... and by which power of two each row of the state is multiplied from one row of sums to the next: a(K, C).
LATHE_KERNEL(gate_steps, host) {
  auto whole = kernel.buffer("whole");
  kernel.rows("a", [&](const Expr& key, const Expr& i) { return power_of_whole(whole(key, i + 1) - whole(key, i)); });
}

// pairs(block, C): of row i with the keys of its own block, one after the other; 0 past its own. up and down are the
// last of gate_queries and the first of gate_keys. What a key gives to the query of its own token is weighed by u(K).
LATHE_KERNEL(gate_pairs, once) {
  constexpr int lanes = 16;
  auto up = kernel.buffer("up"), down = kernel.buffer("down"), whole = kernel.buffer("whole");
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), u = kernel.buffer("u", 1);
  const Rows rows(kernel);
  Var n("n"), i("i"), lane("lane");
  RDom earlier(0, rows.block, "earlier"), part(0, q.dim(0).extent() / lanes, "part"), across(0, lanes, "across");
  Expr column = part * lanes + lane;
  // Halide cannot see that blocks end with the chunk
  Expr j = unsafe_promise_clamped(rows.first(i) + n, 0, q.dim(1).extent() - 1);
  Func earlier_lanes("earlier_lanes"), earlier_sum("earlier_sum"), own_lanes("own_lanes"), own_sum("own_sum"),
      pairs("pairs");
  earlier_lanes(lane, n, i) = 0.f;
  earlier_lanes(lane, n, i) +=
      up(column, i) * down(column, j) * power_of_whole(whole(column, rows.seen(i)) - whole(column, j + 1));
  earlier_sum(n, i) += earlier_lanes(across, n, i);
  own_lanes(lane, i) = 0.f;
  own_lanes(lane, i) += q(column, i) * u(column) * k(column, i);
  own_sum(i) += own_lanes(across, i);
  pairs(n, i) = 0.f;
  earlier.where(earlier < i % rows.block);
  pairs(earlier, i) = earlier_sum(earlier, i);
  pairs(i % rows.block, i) = own_sum(i);
  for (const Func& f : {earlier_lanes, own_lanes}) kernel.label(Role::pair_lanes, f);
  for (const Func& f : {earlier_sum, own_sum}) kernel.label(Role::pair_sum, f);
  kernel.output(Role::pairs, pairs);
}

// The normaliser after each token, and as the token's query sees it. k(K, C), z(K) enters, g(K, C), u(K) as above;
// sums(K, C), seen(K, C).
LATHE_KERNEL(running_key_sums, once) {
  auto k = kernel.buffer("k"), z = kernel.buffer("z", 1), g = kernel.buffer("g"), u = kernel.buffer("u", 1);
  const Lag lag(kernel);
  Var c("c"), i("i");
  RDom row(0, k.dim(1).extent(), "row");
  Func sums("sums"), seen("seen");
  const auto before = [&](const Expr& n) { return select(n > 0, sums(c, max(n - 1, 0)), z(c)); };
  sums(c, i) = undef<float>();
  sums(c, row) = exponential_of_negative(g(c, row)) * before(row) + k(c, row);
  seen(c, i) = select(lag.lags(), before(i) + u(c) * k(c, i), sums(c, i));
  kernel.output(Role::carried, sums);
  kernel.output(Role::copy, seen);
}

// Gradients of a chunk's gates, walked from the last token to the first: dg_t, the sum over this token and later ones
// of q dq - k dk. products(K, C): q dq, k(K, C), dk(K, C), later(K): the sum over earlier rows. Where queries lag,
// their token's own gate is none of theirs, but for `own`(K, C), what its key gives to its query by its weight. sums(K,
// C): without `later`; dg(K, C).
LATHE_KERNEL(gate_gradients, once) {
  auto products = kernel.buffer("products"), k = kernel.buffer("k"), dk = kernel.buffer("dk");
  auto own = kernel.buffer("own"), u = kernel.buffer("u", 1), later = kernel.buffer("later", 1);
  const Lag lag(kernel);
  Var c("c"), i("i");
  RDom row(0, k.dim(1).extent(), "row");
  Func sums("sums"), dg("dg");
  sums(c, i) = undef<float>();
  Expr before = select(row > 0, sums(c, max(row - 1, 0)), 0.f);
  sums(c, row) = before + (products(c, row) - k(c, row) * dk(c, row));
  dg(c, i) = later(c) + sums(c, i) + select(lag.lags(), u(c) * own(c, i) - products(c, i), 0.f);
  kernel.output(Role::carried, sums);
  kernel.output(Role::copy, dg);
}
