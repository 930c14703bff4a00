// How often each loop of a lowered kernel runs when it is called with arguments of given sizes: what a static model of
// the loops' bodies must be multiplied with.
#pragma once

#include <Halide.h>

#include <cstdint>
#include <string>
#include <vector>

#include "estimates.h"

namespace lathe::gen {

struct LoopTrips {
  std::string name;
  int64_t trips = 0;  // of its body, all rounds of the loops around it together
  bool innermost = true;
};

// In the order in which the loops stand in the code. Throws std::invalid_argument where a loop's extent hangs on
// something that no estimate tells.
std::vector<LoopTrips> count_trips(const Halide::Internal::Stmt& body, const Estimates& estimates);

}  // namespace lathe::gen
