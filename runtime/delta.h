// The delta rule in a chunk: what generators/delta.cpp makes of its keys and values. The scan then takes the result in
// place of the values.
#pragma once

#include "key_gates.h"

namespace lathe {

class DeltaRule {
 public:
  explicit DeltaRule(Worker& worker);

  // Of a worker's scratch; none where the variant has no such rule.
  static int64_t floats(const Plan& plan);

  // Some columns of what the tokens of one state head add, from the mapped keys, which are also in the worker's kt, the
  // sums in its gate, or the gates of keys, and the state that enters.
  Worker::Rows correct(const Sequence& s, const Step& step, int64_t head, const Worker::Rows& keys,
                       const Worker::Rows& values, const float* state, const Columns& columns,
                       const KeyGates* gates) const;
  // The same from C betas; no state is one that is zero. With betas of 1, and keys by their betas in the worker's kt or
  // taken by the gates: what the values differ by from what the state has.
  Worker::Rows solve(const float* betas, const Worker::Rows& keys, const Worker::Rows& values, const float* state,
                     const Columns& columns, const KeyGates* gates) const;

 private:
  struct Parts {  // of the scratch
    int64_t beta, of_values, of_keys, reading, added, floats;
  };
  static Parts parts(const Plan& plan);

  Worker& w_;
  const Plan& plan_;
  const Parts at_;
  float* base_;
};

// How far each of n tokens or heads, `stride` apart in the tensor, goes from what the state has to its own value.
void load_betas(const Worker& worker, const char* from, int64_t stride, int64_t n, float* out);
// The same of a chunk's rows, in the order of the walk, and zeros past them.
void load_betas(const Worker& worker, const Sequence& s, const Step& step, int64_t head, float* out);
// Gradients by n of those become gradients by what they are made of.
void through_betas(const Worker& worker, const char* from, int64_t stride, int64_t n, float* gradients);

}  // namespace lathe
