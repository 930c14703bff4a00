// The three kernels of a causal chunk on given tiles: who owns the tiles, and in which order chunks come, is the
// caller's. Outputs are the same bits either way.
#pragma once

#include "worker.h"

namespace lathe {

struct ChunkTiles {
  Worker::Rows k;    // [C,K]
  float *kt, *gate;  // [K,C], [2,C]
  Worker::Rows v;    // of one value head
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
        gated_(plan_.meaning.gated()) {}

  // The mapped keys; `peak`, the stabiliser's maximum, moves on.
  Worker::Rows keys(const Step& step, int64_t key_head, float* room, float& peak) const;
  // Inclusive sums of the log decays of a chunk, as generators/decay.h wants them: those of the variant, and what the
  // stabiliser's maximum rose by since `before`. Past the last row they stand still.
  void fill_gate(const Step& step, int64_t head, float before, float* gate) const;
  // `state` and `z_in` are those that enter the chunk.
  void outputs(const Step& step, const Worker::Rows& queries, const ChunkTiles& tiles, const float* state,
               const float* z_in, int64_t head) const;
  // The normaliser that leaves; `next_z` may be `z_in`.
  void advance_z(const ChunkTiles& tiles, const float* z_in, float* next_z) const;
  // The state that leaves; `next_state` may be `state`. `between(part, parts)` is called before each block of keys: a
  // place to ask memory for what comes next. Asked for at once, it would stall where it is asked for.
  template <typename Between>
  void advance(const ChunkTiles& tiles, const float* state, float* next_state, Between between) const {
    const int64_t parts = (d_.K + kKeysBetween - 1) / kKeysBetween;
    for (int64_t part = 0; part < parts; part++) {
      between(part, parts);
      const int64_t first = part * kKeysBetween;
      advance(tiles, first, std::min(kKeysBetween, d_.K - first), state, next_state);
    }
  }
  // Keys [first, first + keys) of it.
  void advance(const ChunkTiles& tiles, int64_t first, int64_t keys, const float* state, float* next_state) const;

 private:
  static constexpr int64_t kKeysBetween = 16;

  Worker& w_;
  const Sequence& s_;
  const Plan& plan_;
  const Problem& p_;
  const Padded& d_;
  Columns columns_;  // what outputs and advance compute: all, or a block
  const bool gated_;
};

}  // namespace lathe
