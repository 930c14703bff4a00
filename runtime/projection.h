// Random projections for FAVOR+ and random Fourier features. docs/operators.md.
#pragma once

#include <cstdint>

namespace lathe {

// m rows of width d, compact; the same seed gives the same bits on every machine.
void draw_projection(uint64_t seed, bool orthogonal, bool unit_norms, int64_t m, int64_t d, float* out);

}  // namespace lathe
