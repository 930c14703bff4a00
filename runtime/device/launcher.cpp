#include "launcher.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "../status.h"

namespace lathe {

namespace {

// Halide's host code has no word for the caller: it is whoever calls on this thread.
thread_local Launcher* calling = nullptr;

}  // namespace

DeviceBuffer::DeviceBuffer(const Place& place, halide_type_t type, std::initializer_list<Dimension> dimensions)
    : place_(place) {
  int64_t last = 0;
  for (const Dimension& d : dimensions) last += std::max<int64_t>(d.extent - 1, 0) * d.stride;
  if (place.bytes) place_.bytes = static_cast<uint64_t>(last + 1) * static_cast<uint64_t>(type.bytes());
  for (const Dimension& d : dimensions)
    dims_[raw_.dimensions++] = halide_dimension_t(0, static_cast<int32_t>(d.extent), static_cast<int32_t>(d.stride));
  raw_.type = type;
  raw_.dim = dims_;
  raw_.device = reinterpret_cast<uint64_t>(&place_);
}

DeviceBuffer::DeviceBuffer(const DeviceBuffer& of_items, int64_t sequences)
    : place_(of_items.place_), raw_(of_items.raw_) {
  const int items = raw_.dimensions++ - 2, count = static_cast<int>(sequences);
  std::copy_n(of_items.dims_, items + 1, dims_);
  dims_[items + 2] = of_items.dims_[items + 1];
  dims_[items + 1] = {0, count, dims_[items].stride};
  dims_[items] = {0, dims_[items].extent / count, dims_[items].stride * count};
  raw_.dim = dims_;
  raw_.device = reinterpret_cast<uint64_t>(&place_);
}

Place Launcher::carve(uint64_t bytes) {
  const Place place{workspace_.memory, workspace_.offset + taken_, bytes};
  taken_ += (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
  most_ = std::max(most_, taken_);
  if (workspace_.memory && most_ > workspace_.bytes)
    fail(LATHE_INTERNAL, "a device's call: expected {} bytes of workspace to be enough, got to {}", workspace_.bytes,
         most_);
  return place;
}

Place Launcher::take(uint64_t bytes) { return carve(bytes); }

void Launcher::call(const Entry& entry, void** arguments) {
  const uint64_t taken = taken_;
  calling = this;
  entry.call(arguments);
  calling = nullptr;
  // what the next kernel takes was this one's: it runs after it
  taken_ = taken;
  own_.clear();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

// Nothing may be thrown through the host code.
void Launcher::launch(Launch launch) noexcept {
  if (failure_ || *std::min_element(launch.blocks.begin(), launch.blocks.end()) <= 0) return;
  launch.code = code_;
  launch.code_bytes = code_bytes_;
  try {
    device_.launch(launch);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Launcher::allocate(halide_buffer_t& buffer) noexcept {
  if (buffer.device) return;  // each launch that uses it asks
  uint64_t elements = 1;
  for (int d = 0; d < buffer.dimensions; d++)
    elements +=
        static_cast<uint64_t>(std::max(buffer.dim[d].extent - 1, 0)) * static_cast<uint64_t>(buffer.dim[d].stride);
  try {
    own_.push_back(carve(elements * static_cast<uint64_t>(buffer.type.bytes())));
    buffer.device = reinterpret_cast<uint64_t>(&own_.back());
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace lathe

// The functions that generated host code calls. The library links nothing of Halide's runtime, which makes contexts and
// memory of its own, and waits for them.
#define LATHE_DEVICE_RUNTIME(api)                                                                                     \
  int halide_##api##_initialize_kernels(void*, void** state, const char* code, int bytes) {                           \
    lathe::calling->use_code(code, static_cast<size_t>(bytes));                                                       \
    *state = nullptr;                                                                                                 \
    return 0;                                                                                                         \
  }                                                                                                                   \
  void halide_##api##_finalize_kernels(void*, void*) {}                                                               \
  const halide_device_interface_t* halide_##api##_device_interface() { return nullptr; }                              \
  int halide_##api##_run(void*, void*, const char* function, int blocks_x, int blocks_y, int blocks_z, int threads_x, \
                         int threads_y, int threads_z, int shared, size_t sizes[], void* arguments[],                 \
                         int8_t is_buffer[]) {                                                                        \
    lathe::calling->launch({nullptr,                                                                                  \
                            0,                                                                                        \
                            function,                                                                                 \
                            {blocks_x, blocks_y, blocks_z},                                                           \
                            {threads_x, threads_y, threads_z},                                                        \
                            shared,                                                                                   \
                            sizes,                                                                                    \
                            arguments,                                                                                \
                            is_buffer});                                                                              \
    return 0;                                                                                                         \
  }

extern "C" {
LATHE_DEVICE_RUNTIME(cuda)
LATHE_DEVICE_RUNTIME(opencl)

int halide_copy_to_device(void*, halide_buffer_t*, const halide_device_interface_t*) { return 0; }
int halide_device_malloc(void*, halide_buffer_t* buffer, const halide_device_interface_t*) {
  lathe::calling->allocate(*buffer);
  return 0;
}
int halide_device_free(void*, halide_buffer_t*) { return 0; }
void halide_device_free_as_destructor(void*, void*) {}
void* halide_malloc(void*, size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }
void halide_free(void*, void* pointer) { std::free(pointer); }
}
