#include "knobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace lathe::gen {

void check(const Space& space, const Numbers& numbers) {
  for (const auto& [name, value] : numbers) {
    auto knob = std::find_if(space.knobs.begin(), space.knobs.end(), [&](const Knob& k) { return k.name == name; });
    if (knob == space.knobs.end()) throw std::invalid_argument(fmt::format("unknown knob '{}'", name));
    if (std::find(knob->legal.begin(), knob->legal.end(), value) == knob->legal.end())
      throw std::invalid_argument(
          fmt::format("{} = {} is not legal: expected one of {}", name, value, fmt::join(knob->legal, ", ")));
  }
  for (const Constraint& constraint : space.constraints)
    if (!constraint.holds(numbers)) throw std::invalid_argument("violates: " + constraint.text);
}

}  // namespace lathe::gen
