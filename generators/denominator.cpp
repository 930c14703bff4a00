// One over the denominator of each token of a chunk, and the running sum of keys that leaves it. MATH.md B2:
//   z_t = exp(g_t) z_{t-1} + k_t;  inv_t = 1 / (q_t.z_t + eps), or 1 / max(q_t.z_t, eps).
//
// q(K, C), k(K, C), z(K), inv(C), z_out(K); K a multiple of 16. z_out may be z. Its own kernel, so that a normaliser
// adds one object to a row instead of doubling the others; it walks tokens, so a NaN never reaches an earlier one.
#include "kernel.h"
#include "transitions.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(denominator, transitions) {
  constexpr int lanes = 16;
  auto q = kernel.tile("q"), k = kernel.tile("k");
  auto z = kernel.tile("z", 1);
  auto eps = kernel.number<float>("eps");
  auto at_least = kernel.number<int32_t>("at_least");  // 1: max(., eps) instead of adding eps
  Var c("c"), i("i"), u("u");
  Expr tokens = k.dim(1).extent();
  RDom token(0, tokens, "token"), block(0, q.dim(0).extent() / lanes, "block"), lane(0, lanes, "lane");

  Func running("running"), partial("partial"), sum("sum"), inv("inv"), z_out("z_out"), added("added");
  running(c, i) = undef<float>();
  running(c, -1) = z(c);
  Expr kept = running(c, token - 1), left = z(c), weight = 1.f;
  if (decays(kernel.axis())) {
    auto b = kernel.tile("b", 1);
    Func factor("factor"), rest("rest");
    factor(i) = exponential(b(i) - select(i > 0, b(max(i - 1, 0)), 0.f));
    rest(i) = exponential(b(tokens - 1) - b(i));
    kernel.label(Role::table, factor);
    kernel.label(Role::table, rest);
    kept *= factor(token);
    left *= exponential(b(tokens - 1));
    weight = rest(token);
  }
  running(c, token) = kept + k(c, token);
  partial(u, i) += q(block * lanes + u, i) * running(block * lanes + u, i);
  sum(i) += partial(lane, i);
  inv(i) = 1.f / select(at_least == 1, max(sum(i), eps), sum(i) + eps);
  added(c) += k(c, token) * weight;
  z_out(c) = left + added(c);
  kernel.label(Role::running, running);
  kernel.label(Role::lanes, partial);
  kernel.label(Role::row_sum, sum);
  kernel.output(Role::per_token, inv);
  kernel.label(Role::column_sum, added);
  kernel.output(Role::vector, z_out);
}
