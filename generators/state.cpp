// The state that leaves a chunk: H' = exp(b_C) H + (K * exp(b_C - b))^T V. docs/operators.md.
//
// k(K, C), v(V, C), h(V, K); b(C, 2) as in causal.cpp. A gate for each key dimension comes as left(K) and rise(K), with
// k as key_gates.cpp makes it: H' = left * H + rise * (K^T V). Where there are two states, either is made of both:
// H' = left * H + moved * P + (K * rest)^T V, with p(V, K) and rest(C). h_out may be h. Any number of tokens: C is v's
// second extent.
#include "decay.h"
#include "kernel.h"
#include "transitions.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(state, transitions) {
  auto k = kernel.tokens("k"), v = kernel.tokens("v"), h = kernel.buffer("h");
  Var x("x"), key("key"), j("j");
  const RDom token = kernel.sum_of_tokens(v);

  Func outer("outer"), h_out("h_out");
  Expr kept = h(x, key), rising = 1.f;
  const auto sum_by = [&](auto rest) {
    Func scaled("scaled");
    scaled(x, j) = v(x, j) * rest(j);
    kernel.label(Role::scaled, scaled);
    outer(x, key) += kernel.multiplier(k, key, token) * scaled(x, token);
  };
  if (decays(kernel.axis())) {
    const Decay decay(kernel);
    Expr last = v.dim(1).extent() - 1;
    Func rest("rest");
    rest(j) = decay.between(last, j);
    kernel.label(Role::table, rest);
    sum_by(rest);
    kept *= decay.since(last);
  } else if (has_momentum(kernel.axis())) {
    auto p = kernel.buffer("p"), rest = kernel.buffer("rest", 1);
    auto left = kernel.each<float>("left"), moved = kernel.each<float>("moved");
    sum_by(rest);
    kept = left * kept + moved * p(x, key);
  } else if (gates_keys(kernel.axis())) {
    auto left = kernel.buffer("left", 1), rise = kernel.buffer("rise", 1);
    outer(x, key) += kernel.multiplier(k, key, token) * v(x, token);
    kept *= left(key);
    rising = rise(key);
  } else {
    outer(x, key) += kernel.multiplier(k, key, token) * v(x, token);
  }
  h_out(x, key) = kept + rising * outer(x, key);
  kernel.label(Role::outer, outer);
  kernel.output(Role::state, h_out);
}

// The states that enter the chunks of a sequence, and the one that leaves the last, where all chunks were taken at
// once: each by itself adds u to a state of zeros, and leaves `left` of what enters. u(V, K, N), left(K, N), h(V, K):
// enters the first; states(V, K, N + 1). Keys that are left alike give `left` a stride of zero.
LATHE_KERNEL(carry, device) {
  auto u = kernel.buffer("u", 3), left = kernel.buffer("left"), h = kernel.buffer("h");
  left.dim(0).set_stride(Expr());
  Var x("x"), key("key"), n("n");
  RDom chunk(0, u.dim(2).extent(), "chunk");
  Func states("states");
  states(x, key, n) = undef<float>();
  states(x, key, 0) = h(x, key);
  states(x, key, chunk + 1) = left(key, chunk) * states(x, key, chunk) + u(x, key, chunk);
  kernel.output(Role::states, states);
}

namespace {

// A column of rows, of which a block of threads may want more than there are, and gets the last vector again.
Expr within(const ImageParam& rows, const Expr& column) {
  constexpr int vector = 4;
  return min(column / vector, rows.dim(0).extent() / vector - 1) * vector + column % vector;
}

void walk(Kernel& kernel, bool decayed) {
  auto k = kernel.tokens_of_chunks("k"), v = kernel.tokens_of_chunks("v"), h = kernel.buffer("h");
  Var x("x"), key("key"), j("j"), n("n");
  const RDom token = kernel.sum_of_tokens(v, {n});
  RDom chunk(0, v.dim(2).extent(), "chunk");
  Func keys("keys"), values("values"), outer("outer"), states("states");
  keys(key, j, n) = k(within(k, key), j, n);
  Expr value = v(within(v, x), j, n), left = 1.f;
  if (decayed) {
    const Decay decay(kernel, {n});
    Expr last = v.dim(1).extent() - 1;
    Func rest("rest");
    rest(j, n) = decay.between(last, j, {n});
    kernel.label(Role::table, rest);
    value *= rest(j, n);
    left = decay.since(last, {chunk});
  }
  values(x, j, n) = value;
  outer(x, key, n) += kernel.multiplier(keys, key, token, n) * values(x, token, n);
  states(x, key, n) = undef<float>();
  states(x, key, 0) = h(x, key);
  states(x, key, chunk + 1) = left * states(x, key, chunk) + outer(x, key, chunk);
  for (const Func& staged : {keys, values}) kernel.label(Role::staged, staged);
  kernel.label(Role::outer, outer);
  kernel.output(Role::states, states);
}

}  // namespace

// The same by one walk through the tokens of all chunks: k(K, C, N), v(V, C, N), b(C, 2, N).
LATHE_KERNEL(states, device) { walk(kernel, false); }

LATHE_KERNEL(states_decay, device) { walk(kernel, true); }
