// A device that calls run on. Whatever it is asked for is done in that order, some time after it was asked; nothing
// waits, and nothing comes back to the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "../tensor.h"

namespace lathe {

// Memory of a device by its handle, and bytes into it; of a part of it also how many these are, else all of the memory
// is meant.
struct Place {
  void* memory = nullptr;
  uint64_t offset = 0, bytes = 0;
};

// One function of a kernel's device code, as the kernel's host code asks for it.
struct Launch {
  const char* code;
  size_t code_bytes;
  const char* function;
  std::array<int, 3> blocks, threads;
  int shared;           // bytes of memory that a block's threads share
  const size_t* sizes;  // of the arguments that are numbers; the list ends with 0
  void* const* arguments;
  const int8_t* is_buffer;  // then the argument is a halide_buffer_t, whose device is a Place
};

class Device {
 public:
  virtual ~Device() = default;
  // The bytes may be gone as soon as this returns.
  virtual void stage(const Place& to, const void* from, size_t bytes) = 0;
  virtual void fill(const Place& at, float value, size_t count) = 0;
  virtual void launch(const Launch& launch) = 0;
  // Whether a tensor begins at a multiple of so many bytes.
  virtual bool aligned(const Tensor& tensor, uint64_t bytes) const = 0;
};

// The caller's own, for one call.
class Queue : public Device {
 public:
  // Throws Error(INVALID) for a tensor whose memory is not what the queue can reach.
  virtual void accept(const char* name, const Tensor& tensor) const = 0;
  // Where `bytes` of the caller's memory begin. Throws Error(WORKSPACE).
  virtual Place workspace(void* memory, size_t bytes) const = 0;
};

// Where every part of a workspace begins: at multiples of what devices ask of a buffer within another.
constexpr uint64_t kDeviceAlignment = 512;

}  // namespace lathe
