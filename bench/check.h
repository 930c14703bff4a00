// Answers before times: every contestant's output against plain loops in float64.
#pragma once

#include <span>
#include <string>

#include "problem.h"

namespace lathe::bench {

struct Verdict {
  bool right;
  double error;  // largest difference over the largest value of the head
  std::string text;
};

// Looks at the whole of the first and the last head. op is the case's own, or "softmax"; steps is how often a decode
// has moved the state on.
Verdict check_output(const Problem& problem, std::span<const float> output, const std::string& op, int steps);

}  // namespace lathe::bench
