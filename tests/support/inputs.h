// Filling a problem's inputs: the same seed gives the same numbers everywhere.
#pragma once

#include <cstdint>

#include "reference/backward.h"
#include "reference/reference.h"
#include "support/tensor.h"

namespace support {

using reference::Problem;

// A number that may stand there: gates above 0 and steps below it are refused.
double legal(const Problem& p, std::vector<double> Problem::*part, double x);

// The problem with this map, and the widths and attributes that it needs.
Problem with_map(Problem shape, const std::string& map);

// Rows of two heads, 24 keys and 20 values wide, without numbers.
Problem two_heads(const std::string& variant, int64_t T = 150);
// Rows of two heads under elu(x) + 1 with its normaliser: of T tokens, or of the few that are decoded.
Problem normalised(const std::string& op, int64_t B, int64_t T, int64_t D, int64_t V);

// Real inputs that the type represents; with initial states if asked. Where a normalised map can be negative,
// queries and keys are made positive, so that no denominator comes near zero.
Problem reals(Problem shape, Type type, uint64_t seed, bool states = false);
// What comes into a gradient, in numbers that the type represents; of the states too if asked.
reference::Given given_reals(const Problem& p, Type type, uint64_t seed, bool states);
reference::Given given_integers(const Problem& p, int64_t magnitude, uint64_t seed, bool states);
// Small integers; what a token leaves of the state is all of it or, at some gates, nothing.
Problem integers(Problem shape, int64_t magnitude, uint64_t seed, bool states = false);

// The tokens [first, first + count) of every row, with the given states in front.
Problem tokens_of(const Problem& whole, int64_t first, int64_t count, const reference::Answer* before);
// The same tokens of one [B,T,...] tensor, taken and put back.
std::vector<double> rows_between(const std::vector<double>& all, int64_t B, int64_t T, int64_t first, int64_t count);
void put_rows(std::vector<double>& all, const std::vector<double>& some, int64_t B, int64_t T, int64_t first,
              int64_t count);

}  // namespace support
