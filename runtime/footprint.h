// The memory that a tensor covers, and whether two of them share any.
#pragma once

#include <array>

#include "tensor.h"

namespace lathe {

// Whether the elements lie at addresses that exist: neither their distances nor their addresses overflow. Without data
// only the distances count.
bool addressable(const Tensor& tensor);

class Footprint {
 public:
  Footprint() = default;  // nothing
  // Of a tensor that is addressable; one without elements covers nothing.
  explicit Footprint(const Tensor& tensor);
  Footprint(const char* data, int64_t bytes) : low_(data), element_(bytes) {}

  bool overlaps_itself() const;
  bool apart(const Footprint& other) const;

 private:
  struct Dimension {
    int64_t stride, extent;  // stride in bytes, not negative
  };
  int64_t bytes(int from = 0) const;

  const char* low_ = nullptr;
  int64_t element_ = 0;
  int rank_ = 0;
  std::array<Dimension, Tensor::kMaxRank> dims_{};  // of more than one element, widest stride first
};

}  // namespace lathe
