// The kernels of a chunk on the worker's tiles; in which order chunks come is the caller's.
#pragma once

#include <optional>

#include "delta.h"
#include "key_gates.h"
#include "momentum.h"

namespace lathe {

struct ChunkTiles {
  Worker::Rows k;  // [C,K], as mapped
  Worker::Rows v;  // [C,V] of one value head
};

// Queries of a step, each head of which is mapped once for outputs that follow each other.
class MappedQueries {
 public:
  MappedQueries(Worker& worker, const Sequence& s, const Step& step) : w_(worker), s_(s), step_(step) {}
  const Worker::Rows& of(int64_t head) {
    if (head != head_) rows_ = w_.map_rows(LATHE_Q, step_, s_, head, 0, w_.q());
    head_ = head;
    return rows_;
  }

 private:
  Worker& w_;
  const Sequence& s_;
  const Step& step_;
  Worker::Rows rows_{};
  int64_t head_ = -1;
};

class Chunk {
 public:
  Chunk(Worker& worker, const Sequence& s, const Columns& columns) : Chunk(worker, s) { columns_ = columns; }
  Chunk(Worker& worker, const Sequence& s)
      : w_(worker),
        s_(s),
        plan_(worker.plan()),
        p_(worker.problem()),
        d_(plan_.padded),
        columns_{0, d_.V},
        gated_(plan_.meaning.gated()) {
    if (plan_.meaning.variant->keyed()) key_gates_.emplace(worker);
    if (plan_.meaning.variant->corrects()) delta_.emplace(worker);
    if (plan_.meaning.variant->moves()) momentum_.emplace(worker);
  }

  // The mapped keys; `peak`, the stabiliser's maximum, moves on.
  Worker::Rows keys(const Step& step, int64_t key_head, float& peak) const;
  // Of one head, each by its token's step or weight where they have such: those are then loaded.
  Worker::Rows values(const Step& step, int64_t head) const;
  // What the kernels want of the chunk's log decays: those of the variant, and what the stabiliser's maximum rose by
  // since `before`. Past the last row they are 0.
  void decay(const Step& step, int64_t head, float before, const ChunkTiles& tiles) const;
  // What the state takes of the values, given the one that enters: after keys(), values() and decay().
  Worker::Rows taken(const Step& step, int64_t head, const ChunkTiles& tiles, const float* state) const {
    const KeyGates* gates = key_gates_ ? &*key_gates_ : nullptr;
    return delta_ ? delta_->correct(s_, step, head, tiles.k, tiles.v, state, columns_, gates) : tiles.v;
  }
  // Fills the worker's gate with inclusive sums of log decays, as generators/decay.h wants them: those of the step, or
  // n of any.
  void fill_gate(const Step& step, int64_t head, float before) const;
  void fill_gate(const float* log_decays, int64_t n) const;
  // `state` and `z_entering` are those that enter the chunk; the keys are also transposed, in the worker's kt.
  void outputs(const Step& step, const Worker::Rows& queries, const ChunkTiles& tiles, const float* state,
               const float* z_entering, int64_t head) const;
  // The normaliser that enters becomes the one that leaves.
  void advance_z(const ChunkTiles& tiles, float* z_row) const;
  // The state that enters becomes the one that leaves; `between` as in in_blocks_of_keys().
  template <typename Between>
  void advance(const ChunkTiles& tiles, float* state, Between between) const {
    in_blocks_of_keys(d_.K, between, [&](int64_t first, int64_t keys) { advance(tiles, first, keys, state); });
  }
  // Keys [first, first + keys) of it.
  void advance(const ChunkTiles& tiles, int64_t first, int64_t keys, float* state) const;

 private:
  // The keys that the state is made of.
  Worker::Rows kept(const ChunkTiles& tiles) const { return key_gates_ ? key_gates_->kept() : tiles.k; }

  // From the log decays in the second row of the gate, and what the stabiliser's maxima rise by.
  void sum_gate(const float* peaks, float before) const;

  Worker& w_;
  const Sequence& s_;
  const Plan& plan_;
  const Problem& p_;
  const Padded& d_;
  Columns columns_;  // what outputs and advance compute: all, or a block
  const bool gated_;
  std::optional<KeyGates> key_gates_;
  std::optional<DeltaRule> delta_;
  std::optional<Momentum> momentum_;
};

}  // namespace lathe
