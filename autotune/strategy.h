// Which configuration to look at next.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "space.h"

namespace lathe::tune {

constexpr double kUnusable = std::numeric_limits<double>::infinity();

// Smaller is better; kUnusable for what failed. Indices of the space's points.
using Scores = std::map<size_t, double>;

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Up to `count` points that have no score yet; none when it knows no more. The same scores and seed give the same.
  virtual std::vector<size_t> next(const Scores& scores, size_t count) = 0;
};

struct StrategyOptions {
  std::string name = "ils";  // exhaustive, random, ils
  uint64_t seed = 1;
  std::vector<Point> seeds;  // looked at first: the default, other rows' winners, the static model's best
};

const std::vector<std::string>& strategy_names();
// Throws std::invalid_argument for another name.
std::unique_ptr<Strategy> make_strategy(const Space& space, const StrategyOptions& options);

}  // namespace lathe::tune
