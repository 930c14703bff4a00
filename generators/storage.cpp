// Between the caller's storage and the float32 tiles of the kernels: rows of any stride, dense innermost.
#include "storage.h"

#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

LATHE_KERNEL(widen, storage) {
  auto x = kernel.buffer("x", 2, storage_type(kernel.axis()));
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = widened(kernel.axis(), x(c, i));
  kernel.output(Role::copy, y);
}

LATHE_KERNEL(narrow, storage) {
  auto x = kernel.buffer("x");
  Var c("c"), i("i");
  Func y("y");
  y(c, i) = narrowed(kernel.axis(), x(c, i));
  kernel.output(Role::copy, y);
}
