// Chunks of tokens on a device where each key dimension has a gate: what generators/key_gates.cpp makes ready of
// queries and keys, the states that enter, and what queries find.
#pragma once

#include "tiles.h"

namespace lathe {

class KeyedChunks : public Tiles {
 public:
  using Tiles::Tiles;

 protected:
  // The gates that a walk meets with each token, and what gate_sums makes of them.
  struct Gates {
    Tile each, rest, whole, left, rise;
  };
  // Keys as scores want them, and states.
  struct Keys {
    Tile down, kept;
  };

  Tile like(const Tile& x) { return tile(x.columns, x.rows, x.items, x.heads); }

  bool lags() const { return plan_.meaning.variant->reads_before(); }
  int32_t lag() const { return lags() ? 1 : 0; }
  Tile gates_of(const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[LATHE_GATE];
    return gather(x, of_tokens(x), items, s_.K, d_.K, tile_rows, s_.HV);
  }
  Tile at_most_zero(const Tile& gates);
  Gates sums_of(const Tile& gates);
  // Their rows are one more than those of the chunk, and more are there.
  DeviceBuffer sums(const Tile& t, const Heads& of) const {
    return {part(t, of, 0),
            kFloat,
            {{d_.K, 1}, {t.rows - kRows + 1, d_.K}, {t.items, t.item()}, {of.count, t.head() * of.step}}};
  }
  // What a token's own key counts for its query, where that reads before it.
  void enter_bonus();
  DeviceBuffer bonus(const Heads& of, int64_t items) const {
    if (!lags()) return row_of_all(ones_, d_.K, items, of.count);
    return {part(bonus_, of, 0), kFloat, {{d_.K, 1}, {items, 0}, {of.count, bonus_.head() * of.step}}};
  }

  Keys ready(const Tile& k, const Heads& of_k, const Gates& gates, const Heads& of);
  // What enters the chunks of each key head and, behind them, what leaves the last. `of` are the heads of the gates.
  void scan_keys(const Keys& k, const Tile& v, const Heads& of_v, DeviceBuffer&& first, const Gates& gates,
                 const Heads& of, const Tile& to, const Heads& of_to);
  void carry_keys(DeviceBuffer&& added, DeviceBuffer&& first, const Gates& gates, const Heads& of, DeviceBuffer&& to);

  // Rows of some heads of a tile.
  struct Part {
    const Tile& tile;
    Heads heads;
  };
  // Queries as they meet the state that enters, keys of earlier blocks and, by pairs, those of their own.
  struct Queries {
    Tile entering, near, pairs;
  };
  // `k` are the keys as they came.
  Queries meet(const Part& q, DeviceBuffer&& k, const Keys& keys, const Gates& gates, const Heads& of, int32_t block);
  // Sums of gates after each token, as columns, and those before each block.
  Tile sums_after(const Gates& gates, const Heads& of);
  DeviceBuffer sums_before(const Gates& gates, const Heads& of, int64_t block) const {
    const Tile& t = gates.whole;
    return {part(t, of, 0),
            kFloat,
            {{d_.K, 1}, {d_.C / block, d_.K * block}, {t.items, t.item()}, {of.count, t.head() * of.step}}};
  }
  Tile turned(const Tile& x);
  // o = q h + tril(q k^T) v with gates in the sums over q's columns.
  void attend_by_keys(const Part& q, DeviceBuffer&& k, const Keys& keys, const Part& v, const Part& h,
                      const Gates& gates, const Heads& of, const Part& o);

  Items past_first_row_{};  // the rows of all chunks from the second of C + 1 on
  Tile bonus_{};
};

}  // namespace lathe
