#include "strategy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>

namespace lathe::tune {

namespace {

using Random = std::mt19937_64;

std::vector<size_t> shuffled(size_t count, Random& random) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  // std::shuffle's order is the library's own; this one is the same everywhere
  for (size_t i = count; i-- > 1;) std::swap(order[i], order[random() % (i + 1)]);
  return order;
}

std::vector<size_t> known_points(const Space& space, const std::vector<Point>& points) {
  std::vector<size_t> found;
  for (const Point& point : points)
    if (space.contains(point)) {
      const size_t index = space.index_of(point);
      if (std::find(found.begin(), found.end(), index) == found.end()) found.push_back(index);
    }
  return found;
}

// All points, the seeds first, then in an order that tells much early.
class Listed : public Strategy {
 public:
  Listed(const Space& space, const StrategyOptions& options) : order_(known_points(space, options.seeds)) {
    Random random(options.seed);
    const std::set<size_t> first(order_.begin(), order_.end());
    for (const size_t index : shuffled(space.points.size(), random))
      if (!first.contains(index)) order_.push_back(index);
  }
  std::vector<size_t> next(const Scores& scores, size_t count) override {
    std::vector<size_t> found;
    for (; at_ < order_.size() && found.size() < count; at_++)
      if (!scores.contains(order_[at_])) found.push_back(order_[at_]);
    return found;
  }

 private:
  std::vector<size_t> order_;
  size_t at_ = 0;
};

// Iterated local search: from the best seed to its best neighbour and on, then from a shaken copy of the best.
class Ils : public Strategy {
 public:
  Ils(const Space& space, const StrategyOptions& options) : space_(space), random_(options.seed) {
    pending_ = known_points(space, options.seeds);
    for (const size_t index : spread(kSpread)) pending_.push_back(index);
  }

  std::vector<size_t> next(const Scores& scores, size_t count) override {
    std::vector<size_t> found;
    for (int idle = 0; found.size() < count && idle < kMostIdle;) {
      while (!pending_.empty() && found.size() < count) {
        const size_t index = pending_.front();
        pending_.erase(pending_.begin());
        if (!scores.contains(index) && std::find(found.begin(), found.end(), index) == found.end())
          found.push_back(index);
      }
      // neighbours are chosen by scores, so those under way must come back first
      if (!found.empty() || scores.size() == space_.points.size()) return found;
      idle++;
      move(scores);
    }
    return found;
  }

 private:
  static constexpr size_t kSpread = 16;
  static constexpr int kMostIdle = 2000;  // moves that found nothing new

  // A Latin hypercube: every value of a knob as often as every other, drawn until a legal point comes of it.
  std::vector<size_t> spread(size_t count) {
    std::vector<size_t> found;
    for (int round = 0; round < 50 && found.size() < std::min(count, space_.points.size()); round++) {
      std::vector<std::vector<size_t>> orders;
      for (const Knob& knob : space_.knobs) orders.push_back(shuffled(std::max(count, knob.legal.size()), random_));
      for (size_t i = 0; i < count && found.size() < count; i++) {
        Point point;
        for (size_t k = 0; k < space_.knobs.size(); k++)
          point.push_back(space_.knobs[k].legal[orders[k][i] % space_.knobs[k].legal.size()]);
        if (!space_.contains(point)) continue;
        const size_t index = space_.index_of(point);
        if (std::find(found.begin(), found.end(), index) == found.end()) found.push_back(index);
      }
    }
    return found;
  }

  static double score_of(const Scores& scores, size_t index) {
    const auto found = scores.find(index);
    return found == scores.end() ? kUnusable : found->second;
  }

  size_t best(const Scores& scores) const {
    return std::min_element(scores.begin(), scores.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
  }

  // One knob moved by one legal value, or two knobs against each other, which constraints on their product ask for.
  std::vector<size_t> neighbours(size_t index) const {
    std::vector<Point> moved;
    const Point& from = space_.points[index];
    const auto step = [&](const Point& point, size_t k, int by) -> std::vector<Point> {
      const auto& legal = space_.knobs[k].legal;
      const auto at = std::find(legal.begin(), legal.end(), point[k]) - legal.begin() + by;
      if (at < 0 || at >= static_cast<std::ptrdiff_t>(legal.size())) return {};
      Point other = point;
      other[k] = legal[static_cast<size_t>(at)];
      return {other};
    };
    for (size_t k = 0; k < from.size(); k++)
      for (const int by : {-1, 1, -2, 2})
        for (const Point& one : step(from, k, by)) {
          moved.push_back(one);
          for (size_t other = k + 1; other < from.size(); other++)
            for (const int back : {-1, 1})
              if (by == 1 || by == -1)
                for (const Point& two : step(one, other, back)) moved.push_back(two);
        }
    return known_points(space_, moved);
  }

  void move(const Scores& scores) {
    if (scores.empty() || score_of(scores, best(scores)) == kUnusable) {
      pending_ = spread(kSpread);
      return;
    }
    if (!walking_) {
      here_ = best(scores);
      walking_ = true;
    }
    // neighbours with one knob changed come first: they are few, and often enough
    const auto around = neighbours(here_);
    size_t better = here_;
    for (const size_t index : around)
      if (score_of(scores, index) < score_of(scores, better)) better = index;
    if (better != here_) {
      here_ = better;
      pending_ = fresh(neighbours(here_), scores);
      return;
    }
    pending_ = fresh(around, scores);
    if (pending_.empty()) shake(scores);
  }

  std::vector<size_t> fresh(std::vector<size_t> indices, const Scores& scores) {
    std::erase_if(indices, [&](size_t index) { return scores.contains(index); });
    return indices;
  }

  void shake(const Scores& scores) {
    const Point& from = space_.points[best(scores)];
    for (int tries = 0; tries < 100; tries++) {
      Point point = from;
      const size_t changes = 2 + random_() % 2;
      for (size_t i = 0; i < changes; i++) {
        const size_t k = random_() % point.size();
        point[k] = space_.knobs[k].legal[random_() % space_.knobs[k].legal.size()];
      }
      if (!space_.contains(point)) continue;
      here_ = space_.index_of(point);
      pending_ = {here_};
      return;
    }
    pending_ = {random_() % space_.points.size()};
    here_ = pending_[0];
  }

  const Space& space_;
  Random random_;
  std::vector<size_t> pending_;
  size_t here_ = 0;
  bool walking_ = false;
};

}  // namespace

const std::vector<std::string>& strategy_names() {
  static const std::vector<std::string> kNames = {"exhaustive", "random", "ils"};
  return kNames;
}

std::unique_ptr<Strategy> make_strategy(const Space& space, const StrategyOptions& options) {
  if (options.name == "ils") return std::make_unique<Ils>(space, options);
  if (options.name == "exhaustive" || options.name == "random") return std::make_unique<Listed>(space, options);
  throw std::invalid_argument(
      fmt::format("'{}' is no strategy: expected one of {}", options.name, fmt::join(strategy_names(), ", ")));
}

}  // namespace lathe::tune
