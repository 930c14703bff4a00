#include "pairs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "median.h"

namespace lathe::bench {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

int repeats_for(Contestant& contestant, double shortest) {
  double once = std::numeric_limits<double>::max();
  // The first run touches pages and fills caches; a slow one need not be run again to know that once is enough.
  for (int i = 0; i < 4 && (i < 1 || once < shortest); i++) once = std::min(once, contestant.seconds(1));
  int repeats = std::clamp(static_cast<int>(std::ceil(shortest / once)), 1, 1 << 20);
  // A single run of a few microseconds is mostly the clock's own cost, so that the count comes out too low.
  while (repeats < 1 << 20 && contestant.seconds(repeats) < shortest) repeats *= 2;
  return repeats;
}

struct Samples {
  std::vector<std::pair<double, double>> pairs;
  double best_a = std::numeric_limits<double>::max(), best_b = best_a;

  void add(double a, double b) {
    pairs.emplace_back(a, b);
    best_a = std::min(best_a, a);
    best_b = std::min(best_b, b);
  }

  std::vector<double> fast_ratios(double tolerance) const {
    std::vector<double> ratios;
    for (auto [a, b] : pairs)
      if (a <= best_a * (1 + tolerance) && b <= best_b * (1 + tolerance)) ratios.push_back(b / a);
    return ratios;
  }
};

}  // namespace

PairResult race(Contestant& a, Contestant& b, const PairOptions& options) {
  const auto start = Clock::now();
  const int repeats_a = repeats_for(a, options.shortest), repeats_b = repeats_for(b, options.shortest);
  Samples samples;
  size_t next_look = static_cast<size_t>(options.wanted);
  do {
    const double a1 = a.seconds(repeats_a), b1 = b.seconds(repeats_b);
    const double b2 = b.seconds(repeats_b), a2 = a.seconds(repeats_a);
    samples.add(a1 / repeats_a, b1 / repeats_b);
    samples.add(a2 / repeats_a, b2 / repeats_b);
    if (options.settled && options.settled(samples.fast_ratios(options.tolerance))) break;
    // A new minimum can turn fast pairs into slow ones, so they are counted afresh, but not after every pair.
    if (samples.pairs.size() < next_look) continue;
    if (samples.fast_ratios(options.tolerance).size() >= static_cast<size_t>(options.wanted)) break;
    next_look += next_look / 10 + 2;
  } while (since(start) < options.seconds);

  PairResult result;
  result.ratios = samples.fast_ratios(options.tolerance);
  result.best_a = samples.best_a;
  result.best_b = samples.best_b;
  result.ratio = median(result.ratios);
  result.ratio_best = samples.best_b / samples.best_a;
  result.fast_pairs = static_cast<int>(result.ratios.size());
  result.pairs = static_cast<int>(samples.pairs.size());
  result.conclusive = result.fast_pairs >= options.wanted;
  return result;
}

}  // namespace lathe::bench
