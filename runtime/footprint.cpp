#include "footprint.h"

#include <algorithm>
#include <cstdlib>

namespace lathe {

bool addressable(const Tensor& tensor) {
  if (tensor.empty()) return true;
  // far more than any memory, and sums of two of them still fit
  constexpr int64_t most = int64_t{1} << 61;
  int64_t below = 0, above = size_of(tensor.storage);
  for (int d = 0; d < tensor.rank; d++) {
    if (tensor.shape[d] <= 1) continue;
    int64_t reach;
    if (__builtin_mul_overflow(std::abs(tensor.stride[d]), tensor.shape[d] - 1, &reach) || reach > most / 8)
      return false;
    int64_t& side = tensor.stride[d] < 0 ? below : above;
    side += reach * size_of(tensor.storage);
    if (side > most) return false;
  }
  const auto address = reinterpret_cast<uintptr_t>(tensor.data);
  return !tensor.data ||
         (address >= static_cast<uintptr_t>(below) && address + static_cast<uintptr_t>(above) > address);
}

Footprint::Footprint(const Tensor& tensor) {
  if (tensor.empty()) return;
  low_ = tensor.data;
  element_ = size_of(tensor.storage);
  for (int d = 0; d < tensor.rank; d++) {
    if (tensor.shape[d] <= 1) continue;
    const int64_t stride = tensor.stride[d] * element_;
    if (stride < 0) low_ += stride * (tensor.shape[d] - 1);
    dims_[rank_++] = {std::abs(stride), tensor.shape[d]};
  }
  std::sort(dims_.begin(), dims_.begin() + rank_,
            [](const Dimension& a, const Dimension& b) { return a.stride > b.stride; });
}

int64_t Footprint::bytes(int from) const {
  int64_t reach = element_;
  for (int d = from; d < rank_; d++) reach += dims_[d].stride * (dims_[d].extent - 1);
  return reach;
}

bool Footprint::overlaps_itself() const {
  for (int d = 0; d < rank_; d++)
    if (dims_[d].stride < bytes(d + 1)) return true;
  return false;
}

// Ranges apart, or slabs of one pitch that lie side by side (a state and its normaliser in one allocation).
bool Footprint::apart(const Footprint& other) const {
  if (element_ == 0 || other.element_ == 0) return true;
  if (low_ + bytes() <= other.low_ || other.low_ + other.bytes() <= low_) return true;
  if (rank_ == 0 || other.rank_ == 0 || dims_[0].stride != other.dims_[0].stride || dims_[0].stride == 0) return false;
  const int64_t pitch = dims_[0].stride, offset = ((other.low_ - low_) % pitch + pitch) % pitch;
  return offset >= bytes(1) && offset + other.bytes(1) <= pitch;
}

}  // namespace lathe
