// One kernel of a row's many.
#pragma once

#include <string>

namespace lathe::gen {

// One instance: kernel x transition | map | storage type, and the numbers of its record.
struct Instance {
  std::string kernel;  // "causal"
  std::string axis;    // "plain", "elu1", "bf16"; empty where the kernel has one instance
};

}  // namespace lathe::gen
