// The delta rule: a token adds what its value differs by from what the state has for its key. docs/operators.md.
//
// What the tokens of a chunk add follows from one another: x = beta (v - exp(b) K H) - M x, M_ij = beta_i k_i.k_j
// exp(b_i - b_j) for j < i. Solved for x once for all columns, what is left is the scan without the rule, of x in place
// of v.
#include <functional>

#include "decay.h"
#include "kernel.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

// What token i takes of the values of tokens j, (I + M)^-1 beta; of their keys, which meet the state that entered, it
// takes as much with another sign, times `since` of them. Anything for j > i.
void solve(Kernel& kernel, const Func& system, const ImageParam& beta, const std::function<Expr(Expr)>& since) {
  Var j("j"), i("i");
  RDom pair(0, kernel.chunk(), 0, kernel.chunk(), "pair");
  RVar later = pair.x, token = pair.y;
  Func inverse("inverse"), solved("solved");
  inverse(j, i) = select(j == i, 1.f, 0.f);
  pair.where(later > token);
  inverse(j, later) -= system(token, later) * inverse(j, token);
  Expr taken = inverse(j, i) * beta(j);
  solved(j, i) = Tuple(taken, -taken * since(j));
  kernel.label(Role::system, system);
  kernel.label(Role::solve, inverse);
  kernel.output(Role::copy, solved);
}

}  // namespace

// k(K, C), kt(C, K), beta(C), b(C, 2) as in causal.cpp: zeros where nothing decays.
LATHE_KERNEL(delta_solve, once) {
  auto k = kernel.buffer("k"), kt = kernel.columns("kt"), beta = kernel.buffer("beta", 1);
  Var j("j"), i("i");
  RDom key(0, kernel.extent(k, 0), "key");
  const Decay decay(kernel);
  Func product("product"), system("system");
  product(j, i) += k(key, i) * kt(j, key);
  system(j, i) = beta(i) * decay.between(i, j) * product(j, i);
  kernel.label(Role::outer, product);
  solve(kernel, system, beta, [&](const Expr& token) { return decay.since(token); });
}

// The same with a gate for each key dimension: near(K, C), kt(C, K), whole(C, K), reached(K, C / g) and pairs(g, C) as
// key_gates.cpp makes them of keys that meet keys; what decays is in the keys.
LATHE_KERNEL(delta_solve_keys, once) {
  const int g = kernel.grain();
  auto near = kernel.buffer("near"), kt = kernel.columns("kt"), beta = kernel.buffer("beta", 1);
  auto whole = kernel.columns("whole"), reached = kernel.buffer("reached"), pairs = kernel.buffer("pairs");
  Var j("j"), i("i");
  RDom key(0, kernel.extent(near, 0), "key");
  Func product("product"), system("system");
  product(j, i) += near(key, i) * (kt(j, key) * power_of_whole(reached(key, i / g) - whole(j, key)));
  system(j, i) = beta(i) * select(j / g == i / g, pairs(j % g, i), product(j, i));
  kernel.label(Role::outer, product);
  solve(kernel, system, beta, [](const Expr&) { return 1.f; });
}

// y_i = w_i H + sum over j <= i of t_ij v_j. w(K, C), t(C, C), v(V, C), h(V, K).
LATHE_KERNEL(delta_values, once) {
  const int g = kernel.grain(), chunk = kernel.chunk();
  auto w = kernel.buffer("w"), t = kernel.columns("t"), v = kernel.buffer("v"), h = kernel.buffer("h");
  Var x("x"), i("i");
  RDom key(0, kernel.extent(w, 0), "key"), before(0, chunk, "before"), inside(0, g, "inside");
  Func numerator("numerator"), y("y");
  Expr first = i / g * g;
  numerator(x, i) += w(key, i) * h(x, key);
  before.where(before / g < i / g);
  numerator(x, i) += t(before, i) * v(x, before);
  numerator(x, i) += select(inside <= i % g, t(first + inside, i) * v(x, first + inside), 0.f);
  y(x, i) = numerator(x, i);
  kernel.label(Role::numerator, numerator);
  kernel.output(Role::output, y);
}

namespace {

using Row = std::function<Expr(Expr)>;

// What two rows read of a state, before anything is written to it.
Func read_twice(Kernel& kernel, const ImageParam& h, const Row& first, const Row& second) {
  Var c("c");
  RDom key(0, h.dim(1).extent(), "key");
  Func sums("sums");
  sums(c) = Tuple(0.f, 0.f);
  sums(c) = Tuple(sums(c)[0] + first(key) * h(c, key), sums(c)[1] + second(key) * h(c, key));
  kernel.label(Role::column_sum, sums);
  return sums;
}

// One token: x = beta (v - a k S), S' = a S + k^T x, o = q S' without reading S'. q(K), k(K), v(V), h(V, K); qk is q.k.
// What the token leaves of the state is one number a, or a(K). h_out may be h.
void correct(Kernel& kernel, bool keyed) {
  auto q = kernel.buffer("q", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  Var c("c"), key("key");
  Func a("a"), read("read"), h_out("h_out");
  a(key) = keyed ? Expr(kernel.buffer("a", 1)(key)) : Expr(kernel.each<float>("a"));
  auto beta = kernel.each<float>("beta"), qk = kernel.each<float>("qk");
  const Func sums = read_twice(
      kernel, h, [&](const Expr& i) { return k(i) * a(i); }, [&](const Expr& i) { return q(i) * a(i); });
  Expr x = beta * (v(c) - sums(c)[0]);
  read(c) = Tuple(x, sums(c)[1] + qk * x);
  h_out(c, key) = a(key) * h(c, key) + k(key) * read(c)[0];
  kernel.output(Role::vector, read);
  kernel.output(Role::recurrence, h_out);
}

}  // namespace

LATHE_KERNEL(decode_delta, host) { correct(kernel, false); }
LATHE_KERNEL(decode_delta_keys, host) { correct(kernel, true); }

// The same where one row of the caller's reads the state and another adds it, RWKV-7: S' = left S + b^T (a S) + k^T v.
// left(K), a(K), b(K); qb is q.b.
LATHE_KERNEL(decode_rank_one, host) {
  auto q = kernel.buffer("q", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  auto left = kernel.buffer("left", 1), a = kernel.buffer("a", 1), b = kernel.buffer("b", 1);
  auto qk = kernel.each<float>("qk"), qb = kernel.each<float>("qb");
  Var c("c"), key("key");
  Func read("read"), h_out("h_out");
  const Func sums = read_twice(
      kernel, h, [&](const Expr& i) { return a(i); }, [&](const Expr& i) { return q(i) * left(i); });
  read(c) = Tuple(sums(c)[0], sums(c)[1] + (qb * sums(c)[0] + qk * v(c)));
  h_out(c, key) = left(key) * h(c, key) + (b(key) * read(c)[0] + k(key) * v(c));
  kernel.output(Role::vector, read);
  kernel.output(Role::recurrence, h_out);
}

namespace {

// The same for a device, where a block reads a state again out of its cache: first what the token has of it, by rows
// reads(i) of the state, then each row as decode.cpp moves it, S' = left S + added(column, row), o = q S'.
template <typename Reads, typename Left, typename Added>
void read_and_move(Kernel& kernel, const ImageParam& q, const ImageParam& h, Reads reads, Left left, Added added) {
  Var c("c"), key("key");
  RDom first = kernel.sum_of_state(h.dim(1).extent(), "first"), r = kernel.sum_of_state(h.dim(1).extent(), "r");
  Func has("has"), met("met"), h_out("h_out"), numerator("numerator"), o("o");
  has(c) += reads(first) * h(c, first);
  met(c) = has(c);
  h_out(c, key) = left(key) * h(c, key) + added(c, key, met(c));
  numerator(c) += q(r) * h_out(c, r);
  o(c) = numerator(c);
  kernel.label(Role::read_first, has);
  kernel.label(Role::added, met);
  kernel.output_of_state(Role::recurrence, h_out);
  kernel.label(Role::column_sum, numerator);
  kernel.output_of_tokens(Role::vector, o);
}

void correct_once_read(Kernel& kernel, bool keyed) {
  auto q = kernel.token("q"), k = kernel.token("k"), v = kernel.token("v"), h = kernel.state("h");
  ImageParam of_keys;
  Expr of_all;
  if (keyed)
    of_keys = kernel.buffer("a", 1);
  else
    of_all = kernel.each<float>("a");
  Expr beta = kernel.each<float>("beta");
  const auto left = [&](const Expr& key) { return keyed ? Expr(of_keys(key)) : of_all; };
  read_and_move(
      kernel, q, h, [&](const Expr& key) { return k(key) * left(key); }, left,
      [&](const Expr& c, const Expr& key, const Expr& met) { return k(key) * (beta * (v(c) - met)); });
}

}  // namespace

LATHE_KERNEL(delta_step, device) { correct_once_read(kernel, false); }
LATHE_KERNEL(delta_step_keys, device) { correct_once_read(kernel, true); }
LATHE_KERNEL(rank_one_step, device) {
  auto q = kernel.token("q"), k = kernel.token("k"), v = kernel.token("v"), h = kernel.state("h");
  auto left = kernel.buffer("left", 1), a = kernel.token("a"), b = kernel.token("b");
  read_and_move(
      kernel, q, h, [&](const Expr& key) { return a(key); }, [&](const Expr& key) { return left(key); },
      [&](const Expr& c, const Expr& key, const Expr& met) { return b(key) * met + k(key) * v(c); });
}
