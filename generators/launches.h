// What a kernel of a device row launches, as its host code has it: the sizes that no device code tells.
#pragma once

#include <Halide.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lathe::gen {

struct Launch {
  std::string entry;           // the name of the device's function
  std::array<int, 3> threads;  // of a block
  int64_t shared;              // bytes that a block's threads share
};

// In the order in which they stand. Throws std::invalid_argument where a block's size hangs on the arguments: nobody
// could then say beforehand that it fits.
std::vector<Launch> launches_of(const Halide::Internal::Stmt& body);

}  // namespace lathe::gen
