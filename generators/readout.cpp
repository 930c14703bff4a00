// Outputs of a state that no longer changes: O = inv * (Q G). docs/operators.md.
//
// q(K, C), h(V, K), inv(C).
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(readout, once) {
  auto q = kernel.buffer("q"), h = kernel.buffer("h");
  auto inv = kernel.buffer("inv", 1);
  Var x("x"), i("i");
  RDom key(0, kernel.extent(q, 0), "key");
  Func numerator("numerator"), o("o");
  numerator(x, i) += kernel.multiplier(q, key, i) * h(x, key);
  o(x, i) = numerator(x, i) * inv(i);
  kernel.label(Role::numerator, numerator);
  kernel.output(Role::output, o);
}
