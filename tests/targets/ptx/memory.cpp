#include "memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ptx {

namespace {

// As the driver promises for every allocation, and not more: what asks for more is to show.
constexpr uint64_t kAlignment = 256;

}  // namespace

const Range* find(const Ranges& ranges, uint64_t address, uint64_t size) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address, [](uint64_t a, const Range& r) { return a < r.begin; });
  if (after == ranges.begin()) return nullptr;
  const Range& range = *std::prev(after);
  return range.holds(address, size) ? &range : nullptr;
}

void Memory::Free::operator()(std::byte* memory) const { std::free(memory); }

uint64_t Memory::allocate(uint64_t bytes) {
  if (bytes > UINT64_MAX / 2) return 0;
  const uint64_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  std::unique_ptr<std::byte, Free> memory(static_cast<std::byte*>(std::aligned_alloc(kAlignment, whole)));
  if (!memory) return 0;
  std::memset(memory.get(), 0xFF, whole);
  const auto begin = reinterpret_cast<uint64_t>(memory.get());
  allocations_.emplace(begin, Allocation{{begin, bytes}, std::move(memory)});
  return begin;
}

bool Memory::free(uint64_t address) { return allocations_.erase(address) != 0; }

const Range* Memory::around(uint64_t address) const {
  const auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  const Range& range = std::prev(after)->second.range;
  return range.holds(address, 1) ? &range : nullptr;
}

bool Memory::holds(uint64_t address, uint64_t size) const {
  const Range* range = around(address);
  return range && range->holds(address, size);
}

Ranges Memory::ranges() const {
  Ranges all;
  for (const auto& [begin, allocation] : allocations_) all.push_back(allocation.range);
  return all;
}

}  // namespace ptx
