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

// Runs all blocks to their ends. Of those that fail, the first is reported, whichever thread of the host ran it.
std::optional<Failure> run(const Kernel& kernel, const Grid& grid, uint64_t dynamic_shared_bytes,
                           const std::vector<std::byte>& parameters, const Ranges& global);

}  // namespace ptx
