// The whole operator through the library's own interface, in two configurations of its kernels.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lathe::tune {

struct WholeCase {
  std::string op, map, layout;  // "BHTD" or "BTHD"
  bool normalise = false;
  int64_t tokens = 0, heads = 1, D = 64, V = 64;
};

struct WholeJob {
  std::string candidate, incumbent;  // libraries
  std::vector<WholeCase> cases;
  int pairs = 24;
  double seconds = 10;
  int cpu = -1;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WholeCase, op, map, layout, normalise, tokens, heads, D, V)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WholeJob, candidate, incumbent, cases, pairs, seconds, cpu)

// Says a line for each case; false when an answer was wrong.
bool race_whole(const WholeJob& job, const std::function<void(const nlohmann::json&)>& say);

}  // namespace lathe::tune
