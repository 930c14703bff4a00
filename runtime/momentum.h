// The momentum P of a state S, which lies behind it in a worker's memory, and what the kernels want of the two for a
// chunk of tokens. From the first token to the last, P' = beta P - gamma k^T v and S' = S - P', which queries read.
// Gradients walk back, S' = S + q^T dN and P' = beta (P - S'), and read gamma (S' - P) in its place.
#pragma once

#include "worker.h"

namespace lathe {

class Momentum {
 public:
  explicit Momentum(Worker& worker);

  // Of a worker's scratch; none where the variant has no momentum.
  static int64_t floats(const Plan& plan);

  // From now on for `rows` tokens of a state head.
  void take(const Sequence& s, int64_t head, int64_t rows) const;
  // Rows of the chunk as they read the state and its momentum.
  struct Readers {
    Worker::Rows state, momentum;
  };
  Readers readers(const Worker::Rows& rows, int64_t width) const;
  // What tokens weigh in each other, the further apart the earlier.
  Buffer weights() const { return {base_ + at_.weights, 2 * C_}; }
  // Some keys and columns of a state and its momentum, which begin at h in rows of `stride`. With `again` the tokens
  // only add what they bring.
  void advance(Buffer& k, Buffer& v, float* h, int64_t keys, int64_t columns, int64_t stride, bool again = false) const;

 private:
  struct Half {         // one of the two
    float left, other;  // of itself, and of the other one as it was
    int64_t rest;       // what each token brings
  };
  struct Parts {  // of the scratch
    int64_t weights, state, momentum, rest_of_state, rest_of_momentum, reads_state, reads_momentum, none, halves,
        floats;
  };
  static Parts parts(const Plan& plan);
  Half* halves() const { return reinterpret_cast<Half*>(base_ + at_.halves); }
  void put(const Half& half, Buffer& k, Buffer& v, Buffer& h, Buffer& other) const;

  const Problem& p_;
  const Plan& plan_;
  const int64_t C_;
  const Parts at_;
  float* base_;
};

// What a token does to the momentum of a state: P' = kept P - taken k^T v.
struct Moved {
  float kept, taken;
};
// Of a state head whose DECAY says it.
Moved moved_by_decay(const Plan& plan, const Problem& problem, int64_t head);

// What values count of which a plain scan takes as much as their momentum would have given by the end of the sequence:
// gamma (1 + beta + ... + beta^n), n tokens before it.
class WeightOfValue {
 public:
  // next() is that of the token after which as many are to come, and from then on of the one before.
  WeightOfValue(const Plan& plan, const Problem& problem, int64_t head, int64_t after);
  float next() { return static_cast<float>(gamma_ * (sum_ = 1 + beta_ * sum_)); }

 private:
  double beta_, gamma_, sum_ = 0;
};

// One token of a state and its momentum, K rows of `columns`, and what its query reads of the state that it leaves.
// They may be moved where they lie.
struct MovedState {
  const float *state, *momentum;
  float *next, *next_momentum;
  int64_t columns;
};
struct TokenRows {
  const float *q, *k, *v;
};
void move(const Plan& plan, int64_t K, const TokenRows& token, const MovedState& of, const Moved& by, float inv,
          float* out);

}  // namespace lathe
