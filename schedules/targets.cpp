#include "targets.h"

#include <stdexcept>

#include "schedule.h"

namespace lathe::gen {

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
#define LATHE_TARGET(name, halide, family, fallback) {#name, halide, #family, #fallback},
#include "targets.def"
#undef LATHE_TARGET
  };
  return all;
}

const Row& find_row(const std::string& name) {
  std::string known;
  for (const Row& row : rows()) {
    if (row.name == name) return row;
    known += " " + row.name;
  }
  throw std::invalid_argument("unknown target row '" + name + "': expected one of" + known);
}

const Family& family(const std::string& name) {
  if (name == "cpu") return cpu_family;
  if (name == "gpu") return gpu_family;
  throw std::invalid_argument("unknown schedule family '" + name + "'");
}

}  // namespace lathe::gen
