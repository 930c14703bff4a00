// GPUs whose limits are published, as the static model of docs/gpu.md has them.
#pragma once

#include <string>
#include <vector>

namespace lathe::tune {

struct Gpu {
  int architecture;
  const char* name;
  int multiprocessors;
  double gigahertz, gigabytes;  // its boost clock; of memory in a second
  int floats;                   // FMAs of float32 in a cycle of a multiprocessor
  int cache_kib;                // first-level cache and shared memory together
  // cycles from an access to its value
  int shared, first_level, memory;

  double flops() const { return 2e9 * floats * multiprocessors * gigahertz; }          // in a second
  double bytes_each_cycle() const { return gigabytes / gigahertz / multiprocessors; }  // of a multiprocessor
};
// Null where the model knows none of that architecture.
const Gpu* find_gpu(int architecture);

}  // namespace lathe::tune
