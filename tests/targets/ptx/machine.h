// Blocks and their threads: what a launch does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memory.h"
#include "module.h"

namespace ptx {

using Index = std::array<uint32_t, 3>;  // x first

struct Grid {
  Index blocks, threads;
};

inline uint64_t volume(const Index& of) { return uint64_t(of[0]) * of[1] * of[2]; }

struct Failure {
  int status;  // the driver's
  std::string what;
};

// Bytes of global memory that launches moved: those that each launch touched, which it moves once where the caches of
// the device hold what blocks share, and those that each block touched.
struct Moved {
  bool counts = false;
  uint64_t by_launches = 0, by_blocks = 0;
};

// Runs all blocks to their ends. Of those that fail, the first is reported, whichever thread of the host ran it.
std::optional<Failure> run(const Kernel& kernel, const Grid& grid, uint64_t dynamic_shared_bytes,
                           const std::vector<std::byte>& parameters, const Ranges& global, Moved& moved);

}  // namespace ptx
