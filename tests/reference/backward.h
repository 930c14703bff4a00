// The float64 oracle of gradients: every pair of tokens by itself, and feature maps by central differences.
#pragma once

#include "reference.h"

namespace reference {

// Gradients of a loss by what an operator puts out; empty: nothing depends on it.
struct Given {
  std::vector<double> o, state, z, momentum = {};
};
// By what it takes, in the shapes of Problem.
struct Gradients {
  std::vector<double> q, k, v, gate, decay, beta, bonus, dt, dt_bias, skip, out_gate, state, z, projection, momentum,
      mixture;
};
struct GradientAnswers {
  Gradients value, size;
};
GradientAnswers backward(const Problem& p, const Given& given, bool causal);
// The same where tokens have steps.
GradientAnswers backward_of_steps(const Problem& p, const Given& given);
// ... or weights by the length of their sequence.
GradientAnswers backward_of_training(const Problem& p, const Given& given);

}  // namespace reference
