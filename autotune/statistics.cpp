#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>

#include "../bench/median.h"

namespace lathe::tune {

using bench::median;

Interval bootstrap(const std::vector<double>& ratios, uint64_t seed, int resamples) {
  return bootstrap(std::vector<std::vector<double>>{ratios}, seed, resamples);
}

Interval bootstrap(const std::vector<std::vector<double>>& groups, uint64_t seed, int resamples) {
  const auto count = static_cast<double>(groups.size());
  const auto mean = [&](auto&& middle) {
    double sum = 0;
    for (const auto& group : groups) sum += std::log(middle(group));
    return std::exp(sum / count);
  };
  if (groups.empty() || std::any_of(groups.begin(), groups.end(), [](const auto& g) { return g.empty(); })) return {};
  std::minstd_rand random(static_cast<unsigned>(seed * 2 + 1));
  std::vector<double> resampled, middles;
  for (int i = 0; i < resamples; i++)
    middles.push_back(mean([&](const std::vector<double>& group) {
      resampled.resize(group.size());
      for (double& value : resampled) value = group[random() % group.size()];
      return median(resampled);
    }));
  std::sort(middles.begin(), middles.end());
  const auto at = [&](double share) {
    return middles[static_cast<size_t>(share * static_cast<double>(resamples - 1))];
  };
  return {mean([](const std::vector<double>& group) { return median(group); }), at(0.025), at(0.975)};
}

namespace {

// Equal values share the mean of their ranks.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) last++;
    for (size_t i = first; i <= last; i++) rank[order[i]] = static_cast<double>(first + last) / 2;
    first = last + 1;
  }
  return rank;
}

}  // namespace

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || a.size() < 2) return 0;
  const auto x = ranks(a), y = ranks(b);
  const double middle = static_cast<double>(a.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < a.size(); i++) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace lathe::tune
