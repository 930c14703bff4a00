// What a kernel of a device row is called with in a call of some size: the words that `lathe-gen --problem` takes.
#pragma once

#include <string>

#include "builder.h"
#include "runner/job.h"

namespace lathe::tune {

// Of a causal call: sequences, the tokens of each, and heads. A launch takes all chunks of all sequences.
constexpr int kSequences = 8, kTokens = 4096, kHeads = 16;
constexpr int items_of(int chunk) { return kSequences * (kTokens / chunk); }

// The widths of rows come from the runner of this machine, which knows the arguments of what the tuner tunes; of
// kernels that only devices have, from here. Throws std::invalid_argument where nobody knows one.
std::string device_problem(const std::string& runner, const Limits& limits, const Space& space, int chunk,
                           const Shape& shape);

}  // namespace lathe::tune
