// Halide's autoschedulers in place of a schedule: what they make of a kernel is what ours are compared with.
#pragma once

#include <string>

#include "estimates.h"
#include "kernel.h"

namespace lathe::gen {

// Loads the scheduler's plugin and applies it, for one thread. Throws std::invalid_argument where an estimate is
// missing.
void autoschedule(Kernel& kernel, const std::string& scheduler, const Estimates& estimates,
                  const Halide::Target& target);

}  // namespace lathe::gen
