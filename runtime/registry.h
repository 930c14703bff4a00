// The kernels in this library, and the row that this processor runs.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "maps.h"
#include "processor.h"
#include "tensor.h"

namespace lathe {

struct Entry {
  int (*call)(void**);  // Halide's argv entry: buffers as halide_buffer_t*, numbers by address
  const char *symbol, *kernel, *axis, *row;
  int chunk;                              // tokens of a chunk
  int key_grain, value_grain, row_grain;  // extents of its buffers are multiples of these
  const char *numbers, *record;           // the schedule's numbers and where they come from
};

std::span<const Entry> registry();
// nullptr where this build has no such kernel for the row.
const Entry* find_kernel(std::string_view row, std::string_view kernel, std::string_view axis);
// The kernel of a map that reads rows of this type itself; nullptr where there is none.
const Entry* map_from(std::string_view row, const FeatureMap& map, Storage storage);

// Rows that this library holds, in order of preference.
std::vector<const char*> built_rows();

struct ChosenRow {
  const char* row;
  const char* reason;  // why, in a few words
};
// The best of the built rows that the processor runs, or the one that is pinned (null or empty: none is). Throws
// Error(UNSUPPORTED) naming what is missing.
ChosenRow choose_row(const Processor& processor, const char* pin, std::span<const char* const> built);
// The same for this processor, LATHE_TARGET and this library.
ChosenRow choose_row();
// The best that this library has for devices of a type. Throws Error(UNSUPPORTED) where it has none.
ChosenRow device_row(int32_t device);

}  // namespace lathe
