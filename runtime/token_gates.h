// What gates make of the rows of a chunk that the recurrence takes. A gate is a power of two, which rounds nothing, and
// a fraction. Fractions go to queries and keys where each key has gates of its own, to outputs and values where all
// share one; powers of two to the state, before each token or, where they are mild, after several: until then rows and
// values have them too. Either way gives the same bits.
#pragma once

#include <optional>

#include "chunk.h"

namespace lathe {

class TokenGates {
 public:
  // Of the first `tokens` of a step: a multiple of kFewSums.
  TokenGates(Worker& worker, const Sequence& s, const Step& step, int64_t tokens);

  // Of a worker's scratch; none where nothing is taken so.
  static int64_t floats(const Plan& plan);

  // Of one state head, whose keys are mapped. `before` as Chunk::fill_gate has it.
  void take(const Chunk& chunk, int64_t head, const Worker::Rows& keys, const Worker::Rows& values, float before);
  // Keys that a state takes, and queries.
  const Worker::Rows& keys() const { return keys_; }
  Worker::Rows queries(const Worker::Rows& mapped) const { return factors(mapped, 1, 1 - lag_, at_.queries); }
  // Rows that read what those before have left, and others than keys that a state takes.
  Worker::Rows reading(const Worker::Rows& rows) const { return factors(rows, 1, seen_, at_.reading); }
  Worker::Rows added(const Worker::Rows& rows) const { return factors(rows, -1, 1, at_.added); }
  // The same, where all tokens of a tile of so many read the state that enters it.
  Worker::Rows reading_at_once(const Worker::Rows& reading, int64_t few) const;
  // Whole numbers in rows, where those are in no rows of keys: what two tokens give each other waits for them.
  const float* wholes() const;
  // ... and where all keys share them, into what the tokens of such tiles give each other.
  void weigh_pairs(float* pairs, int64_t few) const;
  // Of a token's own gates, how many what it reads the state by has seen.
  int32_t seen() const { return seen_; }
  const Worker::Rows& mapped_keys() const { return mapped_; }
  const Worker::Rows& values() const { return values_; }
  // By what the state takes each of them.
  const float* weights() const { return base_ + (shared_ ? at_.down : at_.ones); }
  // By what each output is multiplied, where that is not 1; null where it is.
  const float* outputs() const { return shared_ ? base_ + at_.growth : nullptr; }
  // The weight of a token's own key, where each key has one.
  const float* bonus() const { return keyed_->sums().bonus; }
  // Nothing decays, or no token before the ones after which leaves() says so.
  bool mild() const { return waits_ > 0 || !gated_; }
  // ... which is after so many; 0 where gates are not mild.
  int64_t waits() const { return waits_; }
  // Rows by which a state is multiplied before each token, where gates are not mild.
  Worker::Rows steps() const { return {base_ + at_.steps, plan_.padded.K}; }
  // By what its rows are multiplied after so many tokens; null where by nothing.
  const float* leaves(int64_t tokens) const;
  // The same of sums of keys, which take gates that all keys share before each token.
  Worker::Rows steps_of_sums() const;
  const float* leaves_of_sums(int64_t tokens) const { return shared_ ? nullptr : leaves(tokens); }

 private:
  struct Parts {  // of the scratch
    int64_t queries, keys, reading, added, steps, decays, leaving, ones, growth, down, floats;
  };
  static Parts parts(const Plan& plan);
  Worker::Rows factors(const Worker::Rows& from, float sign, int32_t seen, int64_t to) const;
  void take_keyed(int64_t head, float before);
  void take_shared();
  // For the gates of how many tokens a state may wait, where no token adds more than `added` to a number of it, and
  // mild(from, to) tells of the tokens between.
  template <typename Mild>
  int64_t patience(float added, Mild mild) const;
  // The largest size of a number in the rows.
  float peak_of(const Worker::Rows& rows, int64_t width) const;
  int64_t together() const { return waits_ > 0 ? waits_ : tokens_; }

  Worker& w_;
  const Plan& plan_;
  const Sequence& s_;
  const Step& step_;
  const int64_t tokens_;
  const int32_t lag_, seen_;  // queries do not see their token's gates; gates that what reads the state sees of its own
  const bool gated_, shared_;  // something decays; by gates that all keys share
  const Parts at_;
  float* base_;
  std::optional<KeyGates> keyed_;
  Worker::Rows mapped_{}, keys_{}, values_{};
  int64_t waits_ = 0;  // tokens for whose gates the state waits; 0: it takes a step before each of them
};

}  // namespace lathe
