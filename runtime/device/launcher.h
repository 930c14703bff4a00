// Calls of the kernels of a device row. Their host code, which Halide generates, works out the grid and calls what
// stands in for Halide's runtime here (launcher.cpp).
#pragma once

#include <deque>
#include <exception>
#include <initializer_list>

#include "../halide_call.h"
#include "device.h"

namespace lathe {

struct Dimension {
  int64_t extent, stride;
};

// Numbers on the device, as a kernel sees them.
class DeviceBuffer {
 public:
  static constexpr int kMaxRank = 6;
  // Of a part of memory, as much as the dimensions cover.
  DeviceBuffer(const Place& place, halide_type_t type, std::initializer_list<Dimension> dimensions);
  // The same numbers, whose items are the chunks of so many sequences, those of one number together: (..., chunk,
  // sequence, head) in place of (..., item, head).
  DeviceBuffer(const DeviceBuffer& of_items, int64_t sequences);
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  void* address() { return &raw_; }

 private:
  Place place_;
  halide_buffer_t raw_{};
  halide_dimension_t dims_[kMaxRank];
};
inline void* address_of(DeviceBuffer& b) { return b.address(); }
// Of an argument of a launch that is a buffer.
inline const Place& place_of(const void* argument) {
  return *reinterpret_cast<const Place*>(static_cast<const halide_buffer_t*>(argument)->device);
}

class Launcher {
 public:
  Launcher(Device& device, const Place& workspace) : device_(device), workspace_(workspace) {}
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  Device& device() const { return device_; }
  // Memory of the workspace for the rest of the call.
  Place take(uint64_t bytes);
  // What was taken at most, kernels' own needs included.
  uint64_t most() const { return most_; }

  // Throws what a launch throws.
  void call(const Entry& entry, void** arguments);
  template <typename... Args>
  void call(const Entry& entry, Args&&... args) {
    void* argv[] = {address_of(args)...};
    call(entry, argv);
  }

  // What Halide's host code asks of its runtime.
  void use_code(const char* code, size_t bytes) { code_ = code, code_bytes_ = bytes; }
  void launch(Launch launch) noexcept;
  void allocate(halide_buffer_t& buffer) noexcept;

 private:
  Place carve(uint64_t bytes);

  Device& device_;
  const Place workspace_;
  uint64_t taken_ = 0, most_ = 0;
  const char* code_ = nullptr;
  size_t code_bytes_ = 0;
  std::deque<Place> own_;  // of the kernel that runs
  std::exception_ptr failure_;
};

}  // namespace lathe
