// What a kernel of a device row launches when it is called with arguments of given sizes: blocks, and what the device's
// functions are handed, for whoever follows their code without a device.
#pragma once

#include <Halide.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "estimates.h"

namespace lathe::gen {

struct GridArgument {
  std::string buffer;            // its name; empty: a number
  int64_t bytes = 0;             // of all that the caller's buffer holds; of the number
  std::optional<int64_t> value;  // of the number; of each of the buffer's, where they are equal
};
struct Grid {
  std::string entry;
  std::array<int64_t, 3> blocks{};
  std::vector<GridArgument> arguments;
};

// In the order in which they are launched. An estimate of one number for a buffer of several dimensions stands for
// equal numbers. Throws std::invalid_argument where a grid hangs on something that no estimate tells.
std::vector<Grid> grids_of(const Halide::Internal::LoweredFunc& function, const Estimates& estimates);
// A line each: the function, its blocks, then "NAME:BYTES" or "NAME:BYTES:VALUE" for a buffer and "BYTES=VALUE" for a
// number; a value that nothing tells is "?".
std::string text_of(const std::vector<Grid>& grids);

}  // namespace lathe::gen
