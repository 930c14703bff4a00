// The space of a kernel's knobs on a target: what may be chosen, apart from how it is then scheduled. Nothing here
// needs Halide, so that records can be held against it before anything is built.
#pragma once

#include "../generators/instance.h"
#include "knobs.h"

namespace lathe::gen {

// Throws std::invalid_argument for an unknown family, and where the target cannot have the instance.
Space space_of(const std::string& family, const Instance& instance, const std::string& target);

Space cpu_space(const Instance& instance, const std::string& target);
Space gpu_space(const Instance& instance, const std::string& target);

// Of CPU kernels: whether tokens see only earlier ones, and whether the work is cut into register tiles.
bool is_causal(const std::string& kernel);
bool has_tiles(const std::string& kernel);

}  // namespace lathe::gen
