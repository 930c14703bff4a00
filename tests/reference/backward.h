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
  std::vector<double> q, k, v, gate, decay, bonus, dt, dt_bias, skip, out_gate, state, z, projection, momentum, mixture;
};
struct GradientAnswers {
  Gradients value, size;
};
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
// By mapped queries and keys, by values and by what came in.
struct OfMapped {
  Sized &q, &k, &v, &state, &z, &momentum;
};
GradientAnswers backward(const Problem& p, const Given& given, bool causal);
// The same where tokens have steps.
GradientAnswers backward_of_steps(const Problem& p, const Given& given);
// Adds those of the causal scan where states have a momentum.
void backward_of_momentum(const Problem& p, const Given& given, OfMapped& all);

}  // namespace reference
