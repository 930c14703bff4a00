// A tensor spread over far more addresses than there is memory: only the pages of its elements exist.
#pragma once

#include <lathe.h>

#include "support/tensor.h"

namespace support {

class Sparse {
 public:
  // The elements of `dense`, at other strides. Throws std::bad_alloc where the system keeps no such promises.
  Sparse(const Tensor& dense, Extents strides);
  ~Sparse();
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;

  void copy_to(const Tensor& dense) const;
  lathe_tensor view{};

 private:
  template <typename Visit>
  void each(const Tensor& dense, Visit visit) const;

  Extents shape_, strides_;
  size_t bytes_;
  void* mapping_;
};

// Zeros, of which only those that are read or written exist. nullptr where the system refuses.
void* promised_memory(size_t bytes);

}  // namespace support
