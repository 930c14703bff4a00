// The delta rule: a token adds what its value differs by from what the state has for its key. docs/operators.md.
//
// What the tokens of a chunk add follows from one another: x = beta (v - exp(b) K H) - M x, M_ij = beta_i k_i.k_j
// exp(b_i - b_j) for j < i. Solved for x once for all columns, what is left is the scan without the rule, of x in place
// of v.
#include "decay.h"
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

// What token i takes of the values of tokens j, (I + M)^-1 beta, and of their keys, which meet the state that entered:
// -(I + M)^-1 beta exp(b). k(K, C), kt(C, K), beta(C), b(C, 2) as in causal.cpp: zeros where nothing decays. Anything
// for j > i.
LATHE_KERNEL(delta_solve, once) {
  const int chunk = kernel.chunk();
  auto k = kernel.buffer("k"), kt = kernel.columns("kt"), beta = kernel.buffer("beta", 1);
  Var j("j"), i("i");
  RDom key(0, kernel.extent(k, 0), "key"), pair(0, chunk, 0, chunk, "pair");
  RVar later = pair.x, token = pair.y;
  const Decay decay(kernel);
  Func product("product"), system("system"), inverse("inverse"), solved("solved");
  product(j, i) += k(key, i) * kt(j, key);
  system(j, i) = beta(i) * decay.between(i, j) * product(j, i);
  inverse(j, i) = select(j == i, 1.f, 0.f);
  pair.where(later > token);
  inverse(j, later) -= system(token, later) * inverse(j, token);
  Expr taken = inverse(j, i) * beta(j);
  solved(j, i) = Tuple(taken, -taken * decay.since(j));
  kernel.label(Role::outer, product);
  kernel.label(Role::system, system);
  kernel.label(Role::solve, inverse);
  kernel.output(Role::copy, solved);
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

// One token: x = beta (v - a k S), S' = a S + k^T x, o = q S' without reading S'. q(K), k(K), v(V), h(V, K); qk is q.k.
// h_out may be h.
LATHE_KERNEL(decode_delta, once) {
  auto q = kernel.buffer("q", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  auto a = kernel.number<float>("a"), beta = kernel.number<float>("beta"), qk = kernel.number<float>("qk");
  Var c("c"), key("key");
  RDom r(0, q.dim(0).extent(), "r");
  Func sums("sums"), read("read"), h_out("h_out");
  sums(c) = Tuple(0.f, 0.f);
  sums(c) = Tuple(sums(c)[0] + k(r) * h(c, r), sums(c)[1] + q(r) * h(c, r));
  Expr x = beta * (v(c) - a * sums(c)[0]);
  read(c) = Tuple(x, a * sums(c)[1] + qk * x);
  h_out(c, key) = a * h(c, key) + k(key) * read(c)[0];
  kernel.label(Role::column_sum, sums);
  kernel.output(Role::vector, read);
  kernel.output(Role::recurrence, h_out);
}
