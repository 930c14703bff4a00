// What a running maximum of keys does to the states of a whole call, for devices, where the host has no number of it.
// docs/operators.md.
//
// -inf stands for the maximum of no key.
#include "decay_sums.h"
#include "kernel.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

// By its bits: a compiler may assume that there are no infinities.
Expr of_no_key(const Expr& maximum) { return reinterpret<uint32_t>(maximum) == Expr(0xff800000u); }

}  // namespace

// The maxima before each chunk of a sequence and after the last, each 16 times, from those that the map finds of a
// chunk by itself: peaks(C, N), of which the last row has all of it; before(16, N + 1). Never -inf, since differences
// are taken of them.
LATHE_KERNEL(running_peaks, device) {
  auto peaks = kernel.buffer("peaks");
  Expr entering = kernel.each<float>("entering");
  Var lane("lane"), n("n");
  RDom chunk(0, peaks.dim(1).extent(), "chunk");
  Func before("before");
  before(lane, n) = undef<float>();
  before(lane, 0) = select(of_no_key(entering), Float(32).min(), entering);
  before(lane, chunk + 1) = max(before(lane, chunk), peaks(peaks.dim(0).extent() - 1, chunk));
  kernel.output(Role::carried, before);
}

namespace {

// A maximum that rises is a decay, whose log this is: peaks(C) of the tokens, after which nothing rises.
struct Rises {
  ImageParam peaks;
  Expr entering;
  explicit Rises(Kernel& kernel) : peaks(kernel.buffer("peaks", 1)), entering(kernel.each<float>("entering")) {}

  Expr at(const Expr& token) const {
    Expr last = peaks.dim(0).extent() - 1, before = peaks(clamp(token - 1, 0, last));
    return select(token > 0, before, entering) - peaks(min(token, last));
  }
};

}  // namespace

// It joins those that there are, gates(C, 2) as decay_sums makes them ...
LATHE_KERNEL(peak_sums, device) {
  auto gates = kernel.buffer("gates");
  const Rises rises(kernel);
  sum_decays(
      kernel, [&](const Expr& token) { return rises.at(token); }, gates);
}

// ... or gates of each key: y = x + it, x(K, C).
LATHE_KERNEL(peak_rows, device) {
  auto x = kernel.buffer("x");
  const Rises rises(kernel);
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return x(c, i) + rises.at(i); });
}

// Rows of a state or sum as they enter: one that no key has entered weighs nothing, whatever stands in it. y may be x.
LATHE_KERNEL(entered_rows, device) {
  auto x = kernel.buffer("x");
  Expr entering = kernel.each<float>("entering");
  kernel.rows("y", [&](const Expr& c, const Expr& i) { return select(of_no_key(entering), 0.f, x(c, i)); });
}
