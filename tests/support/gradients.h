// Calling a gradient: a problem and what is given become tensors, a plan and a run.
#pragma once

#include "support/call.h"

namespace support {

// op is the operator whose gradient it is: "causal" or "noncausal".
Gradients call_backward(const std::string& op, const Problem& problem, const Given& given, const Options& options = {});

// Compared as tolerance.h compares answers.
void check_backward(const std::string& op, const Problem& problem, const Given& given, const Options& options = {});
void expect_close(const Gradients& got, const reference::GradientAnswers& want, const Options& options, double n_eps,
                  const std::string& what);
// No size counts for more than so many times the largest number of its part.
reference::GradientAnswers bounded_by_largest(reference::GradientAnswers answers, double most);
void expect_same(const Gradients& got, const Gradients& want, const std::string& what);
void expect_exact(const Gradients& got, const Gradients& want, Type type, const std::string& what);
// By the forward oracle: sum(given o * o) + sum(given state * state that leaves) + the same of z and of the momentum.
double loss(const std::string& op, const Problem& p, const Given& given);

}  // namespace support
