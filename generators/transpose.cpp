// Rows as columns: mapped keys with one column for each token, as the scores of a chunk read them; a state, for the
// gradients of keys.
//
// k(K, C), kt(C, K).
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(transpose, once) {
  auto k = kernel.tokens("k");
  Var token("token"), key("key");
  Func kt("kt");
  kt(token, key) = k(key, token);
  kernel.output(Role::columns, kt);
}
