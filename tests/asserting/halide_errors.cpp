// The error functions that asserting kernels import. Halide's own print and abort; these take a note and let the kernel
// return its code, so that the test that was running fails and the others go on.
#include "asserting/halide_errors.h"

#include <HalideRuntime.h>
#include <fmt/format.h>

#include <cstdint>
#include <mutex>
#include <utility>

namespace support {
namespace {

std::mutex guard;
std::vector<std::string> noted;

template <typename... Numbers>
int note(const char* error, const char* subject, Numbers... numbers) {
  std::string text = fmt::format("{}: {}", error, subject);
  ((text += fmt::format(" {}", numbers)), ...);
  const std::lock_guard lock(guard);
  noted.push_back(std::move(text));
  return -1;
}

}  // namespace

std::vector<std::string> take_halide_errors() {
  const std::lock_guard lock(guard);
  return std::exchange(noted, {});
}

}  // namespace support

using support::note;
using Text = const char*;

extern "C" {

int halide_error_access_out_of_bounds(void*, Text func, int dim, int min, int max, int min_valid, int max_valid) {
  return note("access out of bounds (dimension, touched, valid)", func, dim, min, max, min_valid, max_valid);
}
int halide_error_bad_dimensions(void*, Text func, int32_t given, int32_t correct) {
  return note("wrong number of dimensions (given, correct)", func, given, correct);
}
int halide_error_bad_type(void*, Text func, uint32_t given, uint32_t correct) {
  return note("wrong type (given, correct)", func, given, correct);
}
int halide_error_buffer_allocation_too_large(void*, Text buffer, uint64_t size, uint64_t largest) {
  return note("allocation too large (size, largest)", buffer, size, largest);
}
int halide_error_buffer_argument_is_null(void*, Text buffer) { return note("buffer is null", buffer); }
int halide_error_buffer_extents_negative(void*, Text buffer, int dim, int extent) {
  return note("negative extent (dimension, extent)", buffer, dim, extent);
}
int halide_error_buffer_extents_too_large(void*, Text buffer, int64_t size, int64_t largest) {
  return note("extents too large (size, largest)", buffer, size, largest);
}
int halide_error_constraint_violated(void*, Text var, int value, Text constrained, int wanted) {
  return note("constraint violated (value, wanted)", var, value, constrained, wanted);
}
int halide_error_constraints_make_required_region_smaller(void*, Text buffer, int dim, int min, int extent,
                                                          int required_min, int required_extent) {
  return note("buffer smaller than what is computed (dimension, min, extent, required)", buffer, dim, min, extent,
              required_min, required_extent);
}
int halide_error_device_dirty_with_no_device_support(void*, Text buffer) {
  return note("device copy is newer", buffer);
}
int halide_error_explicit_bounds_too_small(void*, Text func, Text var, int min, int max, int required_min,
                                           int required_max) {
  return note("bound too small (min, max, required)", func, var, min, max, required_min, required_max);
}
int halide_error_host_is_null(void*, Text func) { return note("host pointer is null", func); }
int halide_error_storage_bound_too_small(void*, Text func, Text var, int provided, int required) {
  return note("storage bound too small (provided, required)", func, var, provided, required);
}

}  // extern "C"
