// Momentum that adapts to its tokens: how much of it is left follows from how far a token lies from the one before it.
#pragma once

#include "momentum.h"

namespace lathe {

// Of a worker's scratch.
int64_t adaptive_floats(const Plan& plan);

struct LastToken {
  const float *k, *v;
};
// As a worker carries it behind a state, and from now on the one that came.
inline LastToken last_token(const Plan& plan, float* state) {
  return {plan.last_key_of(state), plan.last_value_of(state)};
}
void keep_last(Worker& worker, const TokenRows& token, float* state);

// What a token does to the momentum of a state head.
Moved moved_by_token(Worker& worker, int64_t head, const TokenRows& token, const LastToken& last, const MovedState& of);

// The normaliser's sums after each token of a chunk of mapped keys; z, the one that enters, becomes the one that
// leaves.
Worker::Rows sums_of_keys(Worker& worker, const Worker::Rows& keys, int64_t rows, float* z);

}  // namespace lathe
