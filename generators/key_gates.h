// Sums of log gates, one for each key dimension and token, as gate_sums makes them. key_gates.cpp says what they are.
#pragma once

#include "kernel.h"
#include "vmath.h"

namespace lathe::gen {

struct GateSums {
  Halide::ImageParam whole, rest;
  explicit GateSums(Kernel& kernel) : whole(kernel.buffer("whole")), rest(kernel.buffer("rest")) {}
};

// A query in row i reads the state after token i, or, lagging, the state before it and its own key by a weight.
struct Lag {
  Halide::Param<int32_t> lag;
  explicit Lag(Kernel& kernel) : lag(kernel.number<int32_t>("lag")) {}
  Halide::Expr seen(const Halide::Expr& i) const { return i + 1 - lag; }
  Halide::Expr lags() const { return lag == 1; }
};

}  // namespace lathe::gen
