// Chunks of tokens on a device where each key dimension has a gate: what generators/key_gates.cpp makes ready of
// queries and keys, the states that enter, and what queries find.
#pragma once

#include <vector>

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

  // Those that a query of each key head, or a value, has a part in.
  struct Output : OutputHeads {
    size_t value;
    bool first;  // of them
  };
  std::vector<Output> outputs_of_query(int64_t query) const {
    return outputs_where([&](int64_t l) { return group_.query_of(l) == query; });
  }
  std::vector<Output> outputs_of_value(int64_t value) const {
    return outputs_where([&](int64_t l) { return group_.value_of(l) == value; });
  }

  bool lags() const { return plan_.meaning.variant->reads_before(); }
  int32_t lag() const { return lags() ? 1 : 0; }
  Tile gates_of(const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[LATHE_GATE];
    return gather(x, of_tokens(x), items, s_.K, d_.K, tile_rows, s_.HV);
  }
  Gates sums_of(const Tile& gates);
  // Their rows are one more than those of the chunk, and more are there.
  DeviceBuffer sums(const Tile& t, const Heads& of) const {
    return {part(t, of, 0),
            kFloat,
            {{d_.K, 1}, {t.rows - kRows + 1, d_.K}, {t.items, t.item()}, {of.count, t.head() * of.step}}};
  }
  // What a token's own key counts for its query, where that reads before it.
  void enter_bonus() {
    if (lags()) bonus_ = bonuses();
  }
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
  void transpose(const Tile& x, const Tile& to) { transpose(x, all(x), to); }
  void transpose(const Tile& x, const Heads& h, const Tile& to) {
    launcher_.call(*k_.transpose, rows(x, h), at(x, h), counted({&x}, h), rows(to, h));
  }
  Tile turned(const Tile& x);
  // o = q h + tril(q k^T) v with gates in the sums over q's columns.
  void attend_by_keys(const Part& q, DeviceBuffer&& k, const Keys& keys, const Part& v, const Part& h,
                      const Gates& gates, const Heads& of, const Part& o);

  Items past_first_row_{};  // the rows of all chunks from the second of C + 1 on
  Tile bonus_{};

 private:
  template <typename Has>
  std::vector<Output> outputs_where(Has has) const {
    std::vector<Output> some;
    for (int64_t l = 0; l < group_.outputs(); l++)
      if (has(l)) some.push_back({heads_of_output(l), static_cast<size_t>(group_.value_of(l)), some.empty()});
    return some;
  }
};

}  // namespace lathe
