// The recurrence itself, a chunk of tokens of one head: S_i = a_i S_{i-1} + k_i^T v_i, o_i = inv_i q_i S_i, where a_i
// is 1 or a number for each key. docs/operators.md.
//
// q(K, C), k(K, C), v(V, C), a(K, C), inv(C); o(V, C). The state lies in rows(V, .) from row `at` on, and is updated
// there; the first C rows are room for outputs. In the end each of its rows is multiplied by left(K), of which there
// may be none. Where queries read the state before their token, own(C) is what its key gives to them.
//
// A few tokens at a time, so that a row of the state is read and written once for them, and a few of its rows, so that
// outputs are: no sum over pairs of tokens, and nothing is computed for a chunk as a whole. It has the fewest products
// that there can be, two for each number of a state and token.
#include "key_gates.h"
#include "row_sums.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

void recur(Kernel& kernel, bool keyed, bool before) {
  const int few = kernel.grain(), together = kernel.steps();
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), v = kernel.buffer("v"), left = kernel.buffer("left", 1);
  auto inv = kernel.buffer("inv", 1);
  auto at = kernel.number<int32_t>("at");
  ImageParam a, own;
  if (keyed) a = kernel.buffer("a");
  if (before) own = kernel.buffer("own", 1);
  Var x("x"), i("i");
  RDom all(0, v.dim(1).extent(), "all"), key(0, left.dim(0).extent(), "key");
  Func rows("rows"), o("o");
  rows(x, i) = undef<float>();
  rows(x, all) = before ? own(all) * v(x, all) : 0.f;

  const auto take = [&](int some, const Expr& first, const Expr& tiles) {
    RDom tile(0, tiles, 0, v.dim(1).extent() / few, "tile");
    std::vector<Expr> places, sums, states;
    for (int t = 0; t < few; t++) sums.push_back(rows(x, tile.y * few + t));
    for (int n = 0; n < some; n++) {
      const Expr row = first + tile.x * some + n;
      Expr state = rows(x, at + row);
      for (int t = 0; t < few; t++) {
        const Expr token = tile.y * few + t;
        // a power of two is exact, so that the sum rounds as where there is none
        const Expr after = (keyed ? rounded_product(a(row, token), state) : state) + k(row, token) * v(x, token);
        sums[t] += q(row, token) * (before ? state : after);
        state = after;
      }
      places.push_back(at + row);
      states.push_back(state);
    }
    for (int t = 0; t < few; t++) places.push_back(tile.y * few + t);
    states.insert(states.end(), sums.begin(), sums.end());
    rows(x, scatter(places)) = gather(states);
  };
  // zero times an infinite value is NaN, so that no key may be padding: the last ones come one by one
  const Expr keys = q.dim(0).extent();
  take(together, 0, keys / together);
  take(1, keys / together * together, keys % together);

  rows(x, at + key) *= left(key);
  o(x, i) = rows(x, i) * inv(i);
  kernel.output(Role::walked, rows);
  kernel.output(Role::copy, o);
}

}  // namespace

// What the tokens' queries divide by: of z(K), the sum of keys that enters, inv_i = 1 / (q_i.z_i + eps), or 1 over the
// larger of the two. q, k, a, left, own and the rows that queries see as above; sums(K, C + 1), z_out(K).
LATHE_KERNEL(recurrence_sums, host) {
  auto q = kernel.buffer("q"), k = kernel.buffer("k"), a = kernel.buffer("a");
  auto left = kernel.buffer("left", 1), own = kernel.buffer("own", 1), z = kernel.buffer("z", 1);
  const Lag lag(kernel);
  const Denominator denominator(kernel);
  Var c("c"), i("i");
  RDom token(0, k.dim(1).extent(), "token");
  Func sums("sums"), z_out("z_out");
  sums(c, i) = undef<float>();
  sums(c, 0) = z(c);
  sums(c, token + 1) = rounded_product(a(c, token), sums(c, token)) + k(c, token);
  const Func met =
      sums_of_rows(kernel, q, [&](const Expr& key, const Expr& row) { return q(key, row) * sums(key, lag.seen(row)); });
  z_out(c) = left(c) * sums(c, k.dim(1).extent());
  kernel.output(Role::carried, sums);
  kernel.numbers("inv",
                 [&](const Expr& row) { return denominator.inverse(met(row) + select(lag.lags(), own(row), 0.f)); });
  kernel.output(Role::vector, z_out);
}

LATHE_KERNEL(recurrence, host) { recur(kernel, false, false); }
LATHE_KERNEL(recurrence_before, host) { recur(kernel, false, true); }
LATHE_KERNEL(recurrence_keys, host) { recur(kernel, true, false); }
LATHE_KERNEL(recurrence_keys_before, host) { recur(kernel, true, true); }
