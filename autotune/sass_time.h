// How long a multiprocessor takes for a function's blocks, by a model of its schedulers and pipes: docs/gpu.md. These
// are bounds, not predictions: what the model leaves out would only take longer.
#pragma once

#include <cstdint>
#include <vector>

#include "gpus.h"
#include "sass_warp.h"

namespace lathe::tune::sass {

// Cycles of a multiprocessor for one block, where as many run at once as fit. Each of them is what a block would take
// if nothing else held it up.
struct Parts {
  double issue = 0;           // one instruction in a cycle of each of four schedulers
  double fma = 0;             // float32 arithmetic, and products of whole numbers
  double alu = 0;             // whole numbers, comparisons
  double special = 0;         // reciprocals, conversions, special registers
  double memory = 0;          // the pipe of loads and stores
  double latency = 0;         // a block alone, over how many run at once
  double device = 0;          // compulsory bytes
  const char* binds() const;  // the name of the largest
};

struct Modelled {
  double cycles = 0;  // of a block: the schedulers' together, or the device's bytes if those take longer
  Parts parts;
  double flops = 0, bytes = 0;  // of a block: executed; compulsory
  double moved = 0;             // bytes of a block that the first-level cache lacks, or that are stored
  double wide = 0;              // of the bytes that it touches, the share of accesses of 16 bytes a thread without gaps
  double in_flight = 0;         // bytes of loads that a multiprocessor's warps begin before any waits for one, at most
  int blocks = 0, warps = 0;    // that a multiprocessor runs at once
  double instructions = 0, fmas = 0;
  double seconds = 0;        // of the whole grid
  double limit_seconds = 0;  // flops or bytes, whichever take longer
  double share() const { return limit_seconds / seconds; }
};

// `resident` blocks fit at once, each with so many bytes of shared memory.
Modelled model_time(const Program& program, const Grid& grid, const Gpu& gpu, int resident, int64_t shared);

}  // namespace lathe::tune::sass
