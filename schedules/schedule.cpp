#include "schedule.h"

#include <stdexcept>

namespace lathe::gen {

const Family& family(const std::string& name) {
  if (name == "cpu") return cpu_family;
  if (name == "gpu") return gpu_family;
  throw std::invalid_argument("unknown schedule family '" + name + "'");
}

}  // namespace lathe::gen
