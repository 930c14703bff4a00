// The kernels in this library, and the row that this processor runs.
#pragma once

#include <span>
#include <string_view>

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

// The best row that is both built and runnable, or the one that LATHE_TARGET names. Throws Error(UNSUPPORTED) naming
// what is missing. `reason` says why in a few words.
struct ChosenRow {
  const char* row;
  const char* reason;
};
ChosenRow choose_row();

}  // namespace lathe
