// One token of the recurrence, one head: S' = a S + k^T v; num = before + q S'. docs/operators.md with K, V as they
// come.
//
// q(K), k(K), v(V), h(V, K), before(V); V a multiple of a vector. h_out may be h, and o may be before.
#include "kernel.h"

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
