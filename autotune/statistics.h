// What can be said of ratios that were measured in pairs.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe::tune {

struct Interval {
  double middle = 0, low = 0, high = 0;
};

// The median of ratios with its 95 % bootstrap interval. The same seed gives the same interval.
Interval bootstrap(const std::vector<double>& ratios, uint64_t seed = 1, int resamples = 1000);
// Of several groups at once, one a problem: the geometric mean of their medians.
Interval bootstrap(const std::vector<std::vector<double>>& groups, uint64_t seed = 1, int resamples = 1000);

// Rank correlation; 0 for fewer than two pairs.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace lathe::tune
