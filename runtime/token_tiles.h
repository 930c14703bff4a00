// A chunk of tokens by the recurrence itself, as generators/recurrence.cpp has it.
#pragma once

#include "ahead.h"
#include "token_gates.h"

namespace lathe {

class TokenTiles {
 public:
  TokenTiles(Worker& worker, const Sequence& s, const Step& step, const Columns& columns);

  // Of a worker's scratch; none where nothing is computed so.
  static int64_t floats(const Plan& plan);

  // Of one state head: its gates, if any, mapped keys, and values. `before` as Chunk::fill_gate has it.
  void take(const Chunk& chunk, int64_t head, const Worker::Rows& keys, const Worker::Rows& values, float before);
  // Outputs of mapped queries, into the rows of an output head, from the state and the sum of keys that enter; and, of
  // the last queries of a state, the state that leaves.
  // `ahead` is asked for meanwhile.
  void outputs(const Worker::Rows& queries, float* state, const float* z, bool last, int64_t head, Ahead& ahead);
  // The sum of keys that leaves, as the last outputs() found it.
  void advance_z(float* z) const;
  // The same without outputs, to the bit, where no token reads the state: the state, and the sum of keys.
  void carry(float* state, Ahead& ahead) const;
  void carry_z(float* z) const;

 private:
  struct Parts {  // of the scratch
    int64_t z, own, inv, state, beta, pairs, by_rows, reads, adds, asked, floats;
  };
  static Parts parts(const Plan& plan);
  // What queries, with the factors of their gates, divide by, and what their own tokens' keys give to them.
  void weigh(const Worker::Rows& queries, const Worker::Rows& factored, const float* z) const;
  // How many of the tokens [t, end) are taken before a state leaves by its gates.
  int64_t stretch(int64_t t, int64_t end) const;
  // visit(t, n, asked) for calls of a kernel, of n of the tokens [begin, end) from t on; `asked` is what they ask
  // `ahead` for.
  template <typename Visit>
  void each_call(const Entry& kernel, int64_t begin, int64_t end, Ahead& ahead, Visit visit) const;
  // What gates leave of a state after so many tokens, `end` all of them.
  void leave(float* state, int64_t tokens, int64_t end) const;
  // Of tokens that read the state: what those of a tile take from one another.
  void correct(int64_t head);
  void exchange(int64_t head);
  void pair_up(const Worker::Rows& added, int64_t to) const;
  bool corrects() const { return plan_.meaning.variant->corrects(); }
  bool exchanges() const { return plan_.meaning.variant->rank_one(); }
  bool reads_state() const { return plan_.meaning.variant->reads_state(); }
  bool moves() const { return plan_.meaning.variant->moves(); }

  Worker& w_;
  const Plan& plan_;
  const Sequence& s_;
  const Step& step_;
  const Columns columns_;
  const int64_t tokens_;  // a multiple of kFewSums
  const int32_t lag_;
  const Parts at_;
  float* base_;
  TokenGates gates_;
  const Entry* kernel_ = nullptr;
  Moved moved_{};  // of a state with a momentum
  Worker::Rows reading_{}, added_{};
};

// One step of a walk.
void recur(Worker& worker, const Sequence& s, const Unit& unit, const Columns& columns, bool outputs, const Step& now,
           const Step& next);

}  // namespace lathe
