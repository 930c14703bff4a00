// The formulas of feature_maps.h once more, as plain float64: the oracle of the self-test. Kernels share none of it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lathe {

// One token and the sizes of its map.
struct Mapped {
  std::vector<double> x, u;  // the input, and its projection
  double row;                // index in the sequence
  double A;                  // the attribute
};

// phi(x), unscaled and unstabilised. The map is a row of feature_maps.h.
std::vector<double> apply_formula(std::string_view map, const Mapped& token);

}  // namespace lathe
