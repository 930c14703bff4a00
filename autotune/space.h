// A kernel's configurations as the generator lists them. Schedules say what is legal; here they are only points.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lathe::tune {

using Point = std::vector<int>;  // a value for each knob, in the order of the knobs

struct Knob {
  std::string name, meaning;
  int fallback;
  std::vector<int> legal;
  bool numerics;
};

// What a knob may be, nothing being anything.
struct Pin {
  std::string knob;
  std::vector<int> values;
};
// "chunk=32", "chunk=32,64", "chunk=any"; throws std::invalid_argument.
Pin parse_pin(const std::string& text);

class Space {
 public:
  Space() = default;
  // From what `lathe-gen --space` prints.
  explicit Space(const nlohmann::json& from);

  std::string kernel, axis, row, target, halide, record_source;
  std::vector<Knob> knobs;
  std::vector<Point> points;
  std::vector<std::pair<std::string, uint64_t>> rejected;
  uint64_t raw = 0;
  nlohmann::json arguments;
  Point fallback, record;  // the knobs' defaults, and what a build takes today
  nlohmann::json listed;   // as it came

  // "causal:plain"; the kernel alone where it has one instance.
  std::string name() const;
  // "chunk=32 row_tile=8".
  std::string text(const Point& point) const;
  Point parse(const std::string& text) const;
  std::map<std::string, int> numbers(const Point& point) const;
  bool contains(const Point& point) const { return index_.contains(point); }
  size_t index_of(const Point& point) const { return index_.at(point); }
  std::optional<size_t> knob(const std::string& name) const;
  uint64_t hash() const { return hash_; }
  // Of the space and the point: the same on every machine.
  std::string id(const Point& point) const;
  // Keeps the points with one of these values of a knob, all where there are none. Throws std::invalid_argument when
  // there is no such knob, or no point left.
  void pin(const Pin& pin);
  // After points were taken away.
  void reindex();
  // A knob other than the numerical ones that has a choice.
  bool tunable() const;

 private:
  std::map<Point, size_t> index_;
  uint64_t hash_ = 0;
};

}  // namespace lathe::tune
