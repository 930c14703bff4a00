#include "spaces.h"

namespace lathe::gen {

Space space_of(const std::string& family, const Instance& instance, const std::string& target) {
  if (family == "cpu") return cpu_space(instance, target);
  if (family == "gpu") return gpu_space(instance, target);
  throw std::invalid_argument("unknown schedule family '" + family + "'");
}

}  // namespace lathe::gen
