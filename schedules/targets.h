// The rows of targets.def as data.
#pragma once

#include <string>
#include <vector>

namespace lathe::gen {

struct Row {
  std::string name, halide, family, fallback;
};
const std::vector<Row>& rows();
// Throws std::invalid_argument naming the rows there are.
const Row& find_row(const std::string& name);

}  // namespace lathe::gen
