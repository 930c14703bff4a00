// A target family: the function that schedules a kernel with the numbers that were chosen from its space.
#pragma once

#include <string>

#include "../generators/kernel.h"
#include "knobs.h"

namespace lathe::gen {

// What the runtime must know of a kernel to call it: extents are multiples of these.
struct Grains {
  int key = 1, value = 1, rows = 1;
};

struct Family {
  void (*apply)(Kernel&, const Numbers&, const Halide::Target&);
  Grains (*grains)(const Instance&, const Numbers&, const Halide::Target&);
};

// Throws std::invalid_argument for an unknown name.
const Family& family(const std::string& name);

extern const Family cpu_family, gpu_family;

}  // namespace lathe::gen
