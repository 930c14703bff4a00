// Carves parts out of one stretch of floats.
#pragma once

#include <cstdint>

namespace lathe {

struct Carver {
  int64_t floats = 0;  // all so far; each part begins a cache line

  // Where a part of n floats begins.
  int64_t operator()(int64_t n) {
    const int64_t at = floats;
    floats += (n + 15) / 16 * 16;
    return at;
  }
};

}  // namespace lathe
