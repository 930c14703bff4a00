// One token of the recurrence, one head: S' = a S + k^T v; num = before + q S'. docs/operators.md with K, V as they
// come.
//
// q(K), k(K), v(V), h(V, K), before(V); V a multiple of a vector. h_out may be h, and o may be before.
#include "kernel.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(decode, once) {
  auto q = kernel.buffer("q", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  auto before = kernel.buffer("before", 1);
  auto a = kernel.number<float>("a");
  auto inv = kernel.number<float>("inv");
  Var x("x"), key("key");
  RDom r(0, q.dim(0).extent(), "r");
  Func h_out("h_out"), numerator("numerator"), o("o");
  h_out(x, key) = a * h(x, key) + k(key) * v(x);
  numerator(x) += q(r) * h_out(x, r);
  o(x) = (before(x) + numerator(x)) * inv;
  kernel.output(Role::recurrence, h_out);
  kernel.label(Role::column_sum, numerator);
  kernel.output(Role::vector, o);
}

// A further query of a state that is already up to date: num = q S. q(K), h(V, K).
LATHE_KERNEL(recall, once) {
  auto q = kernel.buffer("q", 1), h = kernel.buffer("h");
  auto inv = kernel.number<float>("inv");
  Var x("x");
  RDom r(0, q.dim(0).extent(), "r");
  Func numerator("numerator"), o("o");
  numerator(x) += q(r) * h(x, r);
  o(x) = numerator(x) * inv;
  kernel.label(Role::column_sum, numerator);
  kernel.output(Role::vector, o);
}

// The same two steps where each key has a gate of its own, and a query may read the state before them: num = before + q
// S as it is, then S' = a * S + k^T v with g(K), the logs of a. o may be before, and h_out may be h.
LATHE_KERNEL(recall_more, once) {
  auto q = kernel.buffer("q", 1), h = kernel.buffer("h"), before = kernel.buffer("before", 1);
  auto inv = kernel.number<float>("inv");
  Var x("x");
  RDom r(0, q.dim(0).extent(), "r");
  Func numerator("numerator"), o("o");
  numerator(x) += q(r) * h(x, r);
  o(x) = (numerator(x) + before(x)) * inv;
  kernel.label(Role::column_sum, numerator);
  kernel.output(Role::vector, o);
}

LATHE_KERNEL(update_keys, once) {
  auto a = kernel.buffer("a", 1), k = kernel.buffer("k", 1), v = kernel.buffer("v", 1), h = kernel.buffer("h");
  Var x("x"), key("key");
  Func h_out("h_out");
  h_out(x, key) = a(key) * h(x, key) + k(key) * v(x);
  kernel.output(Role::recurrence, h_out);
}

// y = exp(x), of a row of log gates.
LATHE_KERNEL(exponentials, once) {
  auto g = kernel.buffer("x", 1);
  Var x("x");
  Func y("y");
  y(x) = exponential(g(x));
  kernel.output(Role::copy, y);
}
