// All configurations of a space, and why the others are none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "knobs.h"

namespace lathe::gen {

struct Census {
  uint64_t raw = 1, valid = 0;
  // Each under its constraint's text: the configurations that no earlier constraint had excluded.
  std::vector<std::pair<std::string, uint64_t>> rejected;
};

// Visits every configuration that satisfies all constraints, the last knob changing fastest. A constraint is asked as
// soon as the knobs it reads have values, so that what it excludes is never walked. Throws std::logic_error when a
// constraint reads a knob that it does not name.
Census enumerate(const Space& space, const std::function<void(const Numbers&)>& visit);

}  // namespace lathe::gen
