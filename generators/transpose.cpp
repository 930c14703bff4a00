// Mapped keys with one column per token, as the scores of a chunk read them.
//
// k(K, C), kt(C, K).
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(transpose, once) {
  auto k = kernel.buffer("k");
  Var token("token"), key("key");
  Func kt("kt");
  kt(token, key) = k(key, token);
  kt.output_buffer().dim(1).set_stride(kernel.chunk());
  kernel.output(Role::columns, kt);
}
