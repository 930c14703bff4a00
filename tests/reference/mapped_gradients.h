// Gradients by mapped rows, and what they are by the rows themselves.
#pragma once

#include "backward.h"

namespace reference {

// Numbers with their sizes.
struct Sized {
  std::vector<double> value, size;
  void assign(size_t n) {
    value.assign(n, 0);
    size.assign(n, 0);
  }
  void add(size_t i, double x, double x_size) {
    value[i] += x;
    size[i] += x_size;
  }
};

// By mapped queries and keys, values, gates and states. A part that a variant does not have is empty.
struct MappedGradients {
  Sized q, k, v, gate, beta, bonus, state, z, momentum;
};

// Maps by central differences.
GradientAnswers through_maps(const Problem& p, const MappedGradients& mapped);
// Of states with a momentum, and of the delta rule.
MappedGradients backward_of_momentum(const Problem& p, const Given& given);
MappedGradients backward_of_delta(const Problem& p, const Given& given);

}  // namespace reference
