// Kernels that cannot be generated, each in its own way; linked with all of lathe-gen, which must say so.
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "generators/kernel.h"

using namespace Halide;

namespace {

// A copy, whose last step may be spoiled.
Func copied(lathe::gen::Kernel& kernel, const char* name) {
  auto x = kernel.buffer("x");
  Var c("c"), i("i");
  Func y(name);
  y(c, i) = x(c, i);
  return y;
}

}  // namespace

LATHE_KERNEL(broken_not, once) { kernel.output(lathe::gen::Role::copy, copied(kernel, "y")); }

LATHE_KERNEL(broken_user_error, once) {
  Var c("c"), i("i");
  Func undefined("undefined"), y("y");
  y(c, i) = undefined(c, i);
  kernel.output(lathe::gen::Role::copy, y);
}

LATHE_KERNEL(broken_internal_error, once) { Internal::Add::make(Expr(), Expr()); }

// Four columns are computed where the consumer reads sixteen.
LATHE_KERNEL(broken_bound, once) {
  Func narrow = copied(kernel, "narrow"), y("y");
  Var c("c"), i("i");
  y(c, i) = narrow(c, i) + 1.f;
  narrow.compute_root().bound(narrow.args()[0], 0, 4);
  kernel.output(lathe::gen::Role::copy, y);
  y.bound(c, 0, 16);
}

LATHE_KERNEL(broken_exception, once) { throw std::runtime_error("an exception of the algorithm"); }

// Out of a callback that lets none through, as most of Halide's do.
LATHE_KERNEL(broken_terminate, once) {
  const auto callback = [](void (*work)()) noexcept { work(); };
  callback([] { throw std::runtime_error("an exception in a callback"); });
}

// What an assertion of LLVM does.
LATHE_KERNEL(broken_abort, once) { std::abort(); }

LATHE_KERNEL(broken_crash, once) { std::raise(SIGSEGV); }
