// Decisions from the fuzzer's bytes; where they end, every decision is the first one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fuzz {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), left_(size) {}

  // 0 to n - 1
  int64_t below(int64_t n) {
    return n <= 1 ? 0 : static_cast<int64_t>(take(n <= 256 ? 1 : 4) % static_cast<uint64_t>(n));
  }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool either() { return below(2) == 1; }
  uint64_t any() { return take(8); }
  template <typename List>
  const auto& one_of(const List& list) {
    return list[static_cast<size_t>(below(static_cast<int64_t>(list.size())))];
  }
  bool empty() const { return left_ == 0; }

 private:
  uint64_t take(size_t n) {
    uint64_t value = 0;
    const size_t there = n < left_ ? n : left_;
    if (there > 0) std::memcpy(&value, at_, there);
    at_ += there;
    left_ -= there;
    return value;
  }

  const uint8_t* at_;
  size_t left_;
};

}  // namespace fuzz
