// A schedule's numbers: each knob has a name, a default, its legal values and a meaning in one line. A record may
// replace them, whole.
#pragma once

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace lathe::gen {

struct Knob {
  std::string name;
  int fallback;
  std::vector<int> legal;
  std::string meaning;
  bool numerics = false;  // other values give other bits: one value for a whole row
};

struct Constraint {
  std::string text;
  std::function<bool(const std::map<std::string, int>&)> holds;
  std::vector<std::string> reads = {};  // the knobs it looks at, so that it is asked early; none named: all of them
};

struct Space {
  std::vector<Knob> knobs;
  std::vector<Constraint> constraints;
};

using Numbers = std::map<std::string, int>;

inline Numbers defaults(const Space& space) {
  Numbers numbers;
  for (const Knob& knob : space.knobs) numbers[knob.name] = knob.fallback;
  return numbers;
}

// Throw with the knob, what came and what is legal.
void check_value(const Space& space, const std::string& name, int value);
void check(const Space& space, const Numbers& numbers);

}  // namespace lathe::gen
