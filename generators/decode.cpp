// One token of the recurrence, one head: S' = a S + k^T v; num = before + q S'. docs/operators.md with K, V as they
// come.
//
// q(K), k(K), v(V), h(V, K), before(V); V a multiple of a vector. h_out may be h, and o may be before. What the token
// leaves of the state is one number a, or a(K) where each key has a gate of its own. Of a momentum p(V, K) it is what
// is left of that: P' = a P - c k^T v, S' = S - P'. p_out may be p.
#include "kernel.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

void step(Kernel& kernel, bool keyed, bool moves = false) {
  auto q = kernel.token("q"), k = kernel.token("k"), v = kernel.token("v"), h = kernel.state("h");
  auto before = kernel.buffer("before", 1);
  Var x("x"), key("key");
  Expr left = keyed ? Expr(kernel.buffer("a", 1)(key)) : Expr(kernel.each<float>("a"));
  Func p_out("p_out"), h_out("h_out"), numerator("numerator"), o("o");
  Expr added = k(key) * v(x);
  if (moves) {
    auto p = kernel.state("p");
    p_out(x, key) = left * p(x, key) - kernel.each<float>("c") * added;
    h_out(x, key) = h(x, key) - p_out(x, key);
    kernel.output_of_state(Role::recurrence, p_out);
  } else {
    h_out(x, key) = left * h(x, key) + added;
  }
  auto inv = kernel.each<float>("inv");
  RDom r = kernel.sum_of_state(q.dim(0).extent());
  numerator(x) += q(r) * h_out(x, r);
  o(x) = (before(x) + numerator(x)) * inv;
  kernel.output_of_state(Role::recurrence, h_out);
  kernel.label(Role::column_sum, numerator);
  kernel.output_of_tokens(Role::vector, o);
}

}  // namespace

LATHE_KERNEL(decode, once) { step(kernel, false); }
LATHE_KERNEL(decode_keys, once) { step(kernel, true); }
LATHE_KERNEL(decode_momentum, once) { step(kernel, false, true); }

// A further query of a state that is already up to date: num = q S. q(K), h(V, K).
LATHE_KERNEL(recall, once) {
  auto q = kernel.token("q"), h = kernel.state("h");
  auto inv = kernel.each<float>("inv");
  Var x("x");
  RDom r = kernel.sum_of_state(q.dim(0).extent());
  Func numerator("numerator"), o("o");
  numerator(x) += q(r) * h(x, r);
  o(x) = numerator(x) * inv;
  kernel.label(Role::column_sum, numerator);
  kernel.output_of_tokens(Role::vector, o);
}

// A query of the state before its token, num = before + q S, and the step that follows it: S' = a * S + k^T v. o may be
// before, and h_out may be h.
LATHE_KERNEL(recall_more, once) {
  auto q = kernel.buffer("q", 1), h = kernel.buffer("h"), before = kernel.buffer("before", 1);
  auto inv = kernel.each<float>("inv");
  Var x("x");
  RDom r(0, q.dim(0).extent(), "r");
  Func numerator("numerator"), o("o");
  numerator(x) += q(r) * h(x, r);
  o(x) = (numerator(x) + before(x)) * inv;
  kernel.label(Role::column_sum, numerator);
  kernel.output(Role::vector, o);
}

// Both in one pass over the state, for a device, with what the token's own key brings to the query by its bonus u(K):
// num = q (S + (u * k)^T v).
LATHE_KERNEL(decode_before, device) {
  auto q = kernel.token("q"), k = kernel.token("k"), v = kernel.token("v"), h = kernel.state("h");
  auto a = kernel.buffer("a", 1), u = kernel.buffer("u", 1);
  Var x("x"), key("key");
  RDom r = kernel.sum_of_state(q.dim(0).extent());
  Func h_out("h_out"), numerator("numerator"), o("o");
  h_out(x, key) = a(key) * h(x, key) + k(key) * v(x);
  numerator(x) += Kernel::along_with(h_out(x, r), q(r) * (h(x, r) + u(r) * k(r) * v(x)));
  o(x) = numerator(x);
  kernel.output_of_state(Role::recurrence, h_out);
  kernel.label(Role::column_sum, numerator);
  kernel.output_of_tokens(Role::vector, o);
}

LATHE_KERNEL(update_keys, once) {
  auto a = kernel.buffer("a", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  Var x("x"), key("key");
  Func h_out("h_out");
  h_out(x, key) = a(key) * h(x, key) + k(key) * v(x);
  kernel.output(Role::recurrence, h_out);
}

// y = exp(x), of rows of log gates. y may be x.
LATHE_KERNEL(exponentials, once) {
  auto g = kernel.tokens("x");
  kernel.rows("y", [&](const Expr& x, const Expr& i) { return exponential(g(x, i)); });
}
