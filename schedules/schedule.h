// A target family: the space of its knobs for a kernel, and the function that schedules it.
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
  Space (*space)(const Instance&, const Halide::Target&);
  void (*apply)(Kernel&, const Numbers&, const Halide::Target&);
  Grains (*grains)(const Instance&, const Numbers&, const Halide::Target&);
};

// Throws std::invalid_argument for an unknown name.
const Family& family(const std::string& name);

extern const Family cpu_family, gpu_family;

}  // namespace lathe::gen
