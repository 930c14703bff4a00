// The shapes of bench/shapes.def as problems without numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/call.h"

namespace support {

struct Shape {
  std::string group;
  Problem problem;
  Layout layout;
};
// All that tests have for a kernel of this chunk, their groups, and those of one group.
std::vector<Shape> test_shapes(int64_t chunk);
std::vector<std::string> shape_groups();
std::vector<Shape> shapes(const std::string& group, int64_t chunk);
// The widths and heads that the benchmark times, on a few tokens more than a chunk.
std::vector<Shape> timed_shapes(int64_t chunk);
// The numbers of tokens in group "tokens", each once.
std::vector<int64_t> token_counts(int64_t chunk);

}  // namespace support
