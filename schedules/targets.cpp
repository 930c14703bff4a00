#include "targets.h"

#include <stdexcept>

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

}  // namespace lathe::gen
