// A chunk of tokens by the recurrence itself, as generators/recurrence.cpp has it, where keys have gates of their own.
#pragma once

#include "key_gates.h"

namespace lathe {

class TokenTiles {
 public:
  TokenTiles(Worker& worker, const Sequence& s, const Step& step, const Columns& columns);

  // Of a worker's scratch; none where nothing is computed so.
  static int64_t floats(const Plan& plan);

  // Of one state head: its gates, mapped keys, and values. `before` as KeyGates has it.
  void take(int64_t head, const Worker::Rows& keys, const Worker::Rows& values, float before);
  // Outputs of mapped queries, into the rows of an output head, from the state and the sum of keys that enter; and, of
  // the last queries of a state, the state that leaves. `between` as in in_blocks_of_keys().
  template <typename Between>
  void outputs(const Worker::Rows& queries, float* state, const float* z, bool last, int64_t head,
               Between between) const;
  // The sum of keys that leaves, as the last outputs() found it.
  void advance_z(float* z) const;

 private:
  struct Parts {  // of the scratch
    int64_t queries, keys, steps, leaving, ones, sums, z, own, inv, rows, floats;
  };
  static Parts parts(const Plan& plan);
  void factors(const Worker::Rows& from, float sign, int32_t seen, int64_t to) const;
  // What keys give to the queries of their own tokens, and what those divide by.
  void weigh(const Worker::Rows& queries, const float* z) const;
  // The largest size of a number in the rows.
  float peak_of(const Worker::Rows& rows, int64_t width) const;
  // For the gates of how many tokens a state may wait, where no token adds more than `added` to a number of it.
  int64_t patience(float added) const;
  // What a state's rows are multiplied by after so many tokens; null where by nothing.
  const float* leaves_after(int64_t tokens) const;
  bool mild() const { return waits_ > 0; }
  // Tokens after which a state's rows are multiplied.
  int64_t together() const { return mild() ? waits_ : tokens_; }

  Worker& w_;
  const Plan& plan_;
  const Sequence& s_;
  const Step& step_;
  const Columns columns_;
  const int64_t few_, tokens_;  // of a kernel's tile; a multiple of that
  const int32_t lag_;
  const Parts at_;
  float* base_;
  const KeyGates gates_;
  const Entry* kernel_ = nullptr;
  Worker::Rows mapped_{}, values_{};
  int64_t waits_ = 0;  // tokens for whose gates the state waits; 0: it takes a step before each of them
};

// One step of a walk.
void recur(Worker& worker, const Sequence& s, const Unit& unit, const Columns& columns, const Step& now,
           const Step& next);

}  // namespace lathe
