// The memory of a device: the host's, in which only what was allocated may be touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace ptx {

struct Range {
  uint64_t begin = 0, bytes = 0;
  bool holds(uint64_t address, uint64_t size) const {
    return address >= begin && size <= bytes && address - begin <= bytes - size;
  }
};

// Addresses of the device are the host's.
inline std::byte* at(uint64_t address) {
  return reinterpret_cast<std::byte*>(address);  // NOLINT(performance-no-int-to-ptr): that is what they are
}

// Sorted by where they begin.
using Ranges = std::vector<Range>;

// That which holds all of these bytes, or nullptr.
const Range* find(const Ranges& ranges, uint64_t address, uint64_t size);

class Memory {
 public:
  // Filled with NaN, so that what is read before it is written shows. 0 where the host has no such memory.
  uint64_t allocate(uint64_t bytes);
  bool free(uint64_t address);
  // What was allocated around an address; nullptr if nothing was.
  const Range* around(uint64_t address) const;
  bool holds(uint64_t address, uint64_t size) const;
  Ranges ranges() const;

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Allocation {
    Range range;
    std::unique_ptr<std::byte, Free> memory;
  };
  std::map<uint64_t, Allocation> allocations_;  // by where they begin
};

}  // namespace ptx
