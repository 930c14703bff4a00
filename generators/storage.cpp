// Between the caller's storage and the float32 tiles of the kernels: rows of any stride, dense innermost.
#include "storage.h"

#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(widen, storage) {
  auto x = kernel.buffer("x", 2, storage_type(kernel.axis()));
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return widened(kernel.axis(), x(c, i)); });
}

LATHE_KERNEL(narrow, storage) {
  auto x = kernel.buffer("x");
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return narrowed(kernel.axis(), x(c, i)); });
}
