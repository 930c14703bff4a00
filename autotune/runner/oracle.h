// What a kernel should have written: plain float64 loops over the same tiles, as docs/operators.md says it.
#pragma once

#include <string>
#include <vector>

#include "tiles.h"

namespace lathe::tune {

// A number with the same computation on absolute values beside it: errors are stated as epsilons of that size.
struct Wanted {
  double value = 0, size = 0;
  bool free = false;  // nobody reads it
};

// Of an output, row after row over its whole tile. Throws std::invalid_argument for an output that has no oracle.
std::vector<Wanted> wanted(const Tiles& tiles, const std::string& output);
// Epsilons of its size that a number may be off. What is summed is at most a few hundred terms of float32.
double allowed_epsilons(const Job& job);

}  // namespace lathe::tune
