// Calls of generated kernels: buffers on the stack, numbers by address.
#pragma once

#include <HalideRuntime.h>

#include <array>
#include <cstdint>

#include "registry.h"
#include "tensor.h"

namespace lathe {

class Buffer {
 public:
  Buffer(const void* data, int64_t width) : Buffer(data, Storage::kF32, width, 1, 0) { raw_.dimensions = 1; }
  Buffer(const void* data, int64_t width, int64_t rows, int64_t stride)
      : Buffer(data, Storage::kF32, width, rows, stride) {}
  Buffer(const void* data, Storage storage, int64_t width, int64_t rows, int64_t stride) {
    dims_[0] = halide_dimension_t(0, static_cast<int32_t>(width), 1);
    dims_[1] = halide_dimension_t(0, static_cast<int32_t>(rows), static_cast<int32_t>(stride));
    raw_.host = static_cast<uint8_t*>(const_cast<void*>(data));
    raw_.dim = dims_;
    raw_.dimensions = 2;
    raw_.type = storage == Storage::kF32   ? halide_type_t(halide_type_float, 32)
                : storage == Storage::kF16 ? halide_type_t(halide_type_float, 16)
                                           : halide_type_t(halide_type_uint, 16);
  }
  // Addresses, `width` in each row; a stride of 0 has one row serve for all.
  Buffer(const uint64_t* data, int64_t width, int64_t rows, int64_t stride)
      : Buffer(data, Storage::kF32, width, rows, stride) {
    raw_.type = halide_type_t(halide_type_uint, 64);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  // The same buffer over other data.
  void move_to(const void* data, int64_t width, int64_t rows = 1) {
    raw_.host = static_cast<uint8_t*>(const_cast<void*>(data));
    dims_[0].extent = static_cast<int32_t>(width);
    dims_[1].extent = static_cast<int32_t>(rows);
  }
  void* address() { return &raw_; }

 private:
  halide_buffer_t raw_{};
  halide_dimension_t dims_[2];
};

inline void* address_of(Buffer& b) { return b.address(); }
template <typename Number>
void* address_of(Number& n) {
  return &n;
}

// Kernels are generated without checks and cannot fail: everything was checked before.
template <typename... Args>
void call(const Entry& entry, Args&&... args) {
  void* argv[] = {address_of(args)...};
  entry.call(argv);
}

// What a kernel takes, in its order, where that hangs on what is computed.
class Arguments {
 public:
  template <typename... Args>
  void add(Args&... args) {
    for (void* address : {address_of(args)...}) argv_[n_++] = address;
  }
  void call(const Entry& entry) { entry.call(argv_.data()); }

 private:
  std::array<void*, 20> argv_;
  size_t n_ = 0;
};

}  // namespace lathe
