#include "knobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace lathe::gen {

void check_value(const Space& space, const std::string& name, int value) {
  const auto knob = std::find_if(space.knobs.begin(), space.knobs.end(), [&](const Knob& k) { return k.name == name; });
  if (knob == space.knobs.end()) {
    std::vector<std::string> names;
    for (const Knob& k : space.knobs) names.push_back(k.name);
    throw std::invalid_argument(fmt::format("unknown knob '{}': expected one of {}", name, fmt::join(names, ", ")));
  }
  if (std::find(knob->legal.begin(), knob->legal.end(), value) == knob->legal.end())
    throw std::invalid_argument(
        fmt::format("{} = {} is not legal: expected one of {}", name, value, fmt::join(knob->legal, ", ")));
}

void check(const Space& space, const Numbers& numbers) {
  for (const auto& [name, value] : numbers) check_value(space, name, value);
  for (const Constraint& constraint : space.constraints)
    if (!constraint.holds(numbers)) throw std::invalid_argument("violates: " + constraint.text);
}

}  // namespace lathe::gen
