#include "sparse.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace support {

void* promised_memory(size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return mapping == MAP_FAILED ? nullptr : mapping;
}

Sparse::Sparse(const Tensor& dense, Extents strides) : shape_(dense.shape), strides_(std::move(strides)) {
  const auto element = static_cast<int64_t>(bytes_of(dense.type()));
  int64_t below = 0, above = 1;
  for (size_t d = 0; d < shape_.size(); ++d)
    (strides_[d] < 0 ? below : above) += std::abs(strides_[d]) * (shape_[d] - 1);
  bytes_ = static_cast<size_t>((below + above) * element);
  mapping_ = promised_memory(bytes_);
  if (mapping_ == nullptr) throw std::bad_alloc();
  // huge pages would make two megabytes of every element
  madvise(mapping_, bytes_, MADV_NOHUGEPAGE);
  view = dense.view;
  view.data = static_cast<char*>(mapping_) + below * element;
  view.shape = shape_.data();
  view.strides = strides_.data();
  each(dense, [&](char* mine, char* its) { std::memcpy(mine, its, static_cast<size_t>(element)); });
}

Sparse::~Sparse() { munmap(mapping_, bytes_); }

template <typename Visit>
void Sparse::each(const Tensor& dense, Visit visit) const {
  const auto element = static_cast<int64_t>(bytes_of(dense.type()));
  int64_t elements = 1;
  for (const int64_t extent : shape_) elements *= extent;
  for (int64_t i = 0; i < elements; ++i) {
    int64_t rest = i, mine = 0, its = 0;
    for (size_t d = shape_.size(); d-- > 0; rest /= shape_[d]) {
      mine += rest % shape_[d] * strides_[d];
      its += rest % shape_[d] * dense.strides[d];
    }
    visit(static_cast<char*>(view.data) + mine * element, static_cast<char*>(dense.view.data) + its * element);
  }
}

void Sparse::copy_to(const Tensor& dense) const {
  each(dense, [&](const char* mine, char* its) { std::memcpy(its, mine, bytes_of(dense.type())); });
}

}  // namespace support
