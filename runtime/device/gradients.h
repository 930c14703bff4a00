// Gradients on a device, of the scan, with one decay for a state or none, and of non-causal attention: the formulas of
// the CPU's walks (docs/operators.md), all chunks of all sequences at once.
#pragma once

#include <limits>

#include "keyed_chunks.h"

namespace lathe {

class Gradients : public KeyedChunks {
 public:
  Gradients(const Plan& plan, const Problem& problem, Device& device, const Place& workspace)
      : KeyedChunks(plan, problem, device, workspace) {}

 protected:
  // Lists of the whole numbers that all gradients want, and what else begins a walk of tiles of so many rows.
  void begin_gradients(uint32_t role, int64_t chunk, int64_t tile_rows);

  // A number for each row of the tiles of such heads.
  Tile numbers_of_rows(const Tile& x) { return tile(x.rows, spaced(x.rows), x.items, x.heads); }
  DeviceBuffer ones(const Tile& x, const Heads& h) const { return row_of_all(ones_, x.rows, x.items, h.count); }

  // to += more, or = more where that is the first.
  void sum(const Tile& to, const Heads& h, DeviceBuffer&& more, bool first);
  void weigh(DeviceBuffer&& x, DeviceBuffer&& by, DeviceBuffer&& to) { launcher_.call(*k_.weigh_rows, x, by, to); }
  // x += by y, row by row.
  void add(const Tile& x, const Heads& h, DeviceBuffer&& y, DeviceBuffer&& by);
  void read_out(DeviceBuffer&& q, DeviceBuffer&& h, DeviceBuffer&& ones, DeviceBuffer&& o) {
    launcher_.call(*k_.readout, q, h, ones, o);
  }

  // In place of the states that items of such a tile would add to.
  DeviceBuffer no_states(const Tile& x) const {
    return {nothing_.place, kFloat, {{x.columns, 1}, {x.rows, x.columns}, {x.items, 0}, {x.heads, 0}}};
  }

  // entering_states(), transposed.
  Tile turned_states(uint32_t role);
  // One over the denominators of queries, which have `sums()` of keys.
  template <typename Sums>
  Tile inverses_of(const Tile& q, Sums sums) {
    const Tile to = numbers_of_rows(q);
    for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
      const Heads of = heads_of(s_.HQ, query);
      denominators(rows(q, of), sums(), row(to, of, 0, q.items));
    }
    // rows that are no token's would divide 0 by 0
    constexpr float most = std::numeric_limits<float>::max();
    return plan_.meaning.eps == 0 ? clamped(to, -most, most) : to;
  }
  // OUT's gradient, and by the inverse denominators of its rows where there are such.
  Tile outputs(const Items& items, int64_t tile_rows);
  Tile over_denominators(const Tile& outputs, const Tile& inverses);
  // dq = dq + dden z, where dden, which comes of dq as it was, is what the denominators' gradients are.
  void take_denominators(const Tile& dq, const Tile& q, const Heads& queries, const Tile& inverses, DeviceBuffer&& z,
                         const Tile& slopes);
  // Queries by what their denominators' gradients are, summed for each key head.
  Tile weighed_queries(const Tile& q, const Tile& slopes);
  // From the gradients of mapped rows to those of the caller's rows and of the projection.
  void finish_mapped(uint32_t role, const Tile& dunits, const Items& items);
  void finish(uint32_t role, const Tile& dx, const Items& items, int64_t width);
  // Once, when Q and K have given theirs.
  void finish_projection();
  void finish_weights();  // of a mixture

  // Numbers in the first row of each item, as so many of each of the chunks of `sequences`.
  DeviceBuffer numbers_of(const Tile& t, int64_t length, int64_t sequences) const {
    return {t.place,
            kFloat,
            {{length, 1}, {t.items / sequences, sequences * t.item()}, {sequences, t.item()}, {t.heads, t.head()}}};
  }
  // The sum of `more` less `less` from each number on, and the same of the tokens that count alone, by `rows` of them
  // in each chunk.
  struct LaterSums {
    Tile all, counted;
  };
  LaterSums later_sums(const Tile& more, const Tile& less, const Items& rows, DeviceBuffer&& start, int64_t length,
                       int64_t sequences);

  Tile nothing_{};  // zeros
  Items of_turned_{};

 private:
  // [M,D] of each head, as it comes.
  static Shape of_projection(const Tensor& w) {
    const int r = w.rank;
    return {dimension(w, r - 1), dimension(w, r - 2), {1, 0}, r == 3 ? dimension(w, 0) : Dimension{1, 0}};
  }
  // Of rows over their length from those of what they are.
  Tile through_lengths(uint32_t role, const Tile& dy, const Items& items);
  Tile through_map(uint32_t role, const Tile& x, const Tile& dy, const Items& items);
  void add_projection(const Tile& du, const Tile& x);
  // finish_mapped() where tokens have several keys: to those and to what they weigh.
  void finish_mixture(const Tile& dy, const Items& items);
  void give_weight(const Tile& x, const Tile& dx, const Items& items);

  Items of_rows_of_projection_{};
  Tile projection_gradient_{};
  std::vector<Tile> given_weights_;  // of each key, a number of each head
};

class CausalGradients : public Gradients {
 public:
  using Gradients::Gradients;
  void run();

 protected:
  bool decaying() const { return plan_.meaning.variant->decays(); }
  // What enters the chunks of each key head and, behind them, what leaves the last: states of v's columns by k's, and
  // sums of keys. `of` are the heads whose decays they have.
  Tile scan(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first,
            const Decays& decays, const Heads& of);
  Tile scan_sums(const Tile& keys, const Tile& first, const Decays& decays);
  // As each row sees them.
  Tile running_sums(const Tile& keys, const Tile& entering, const Decays& decays);
  // Chunks from the last to the first, and their rows likewise.
  Tile mirrored(const Tile& x);
  DeviceBuffer no_states_of_sequences(const Tile& x) const {
    return {nothing_.place, kFloat, {{x.columns, 1}, {x.rows, x.columns}, {s_.N, 0}, {s_.HK, 0}}};
  }
  void attend(DeviceBuffer&& q, DeviceBuffer&& k, DeviceBuffer&& v, DeviceBuffer&& h, const Decays& decays,
              const Heads& of, DeviceBuffer&& o) {
    const int64_t items = items_.count, heads = of.count;
    with_sums(decays, of, [&](auto&... b) {
      launcher_.call(*k_.causal, q, k, v, h, b..., at(items, heads), at(items, heads), at(items, heads),
                     at(items, heads), counted(items, heads), counted(items, heads), o);
    });
  }
  // What sequences begin with, which are items from `first` on, by what their first token leaves of it.
  void leave_first(const Tile& x, int64_t first);

  // Gates: what they give comes of the products of queries and keys with their gradients, and of the states that leave.
  bool wants_gates() const { return decaying() && p_.wants_gate_gradients(); }
  void add_products(const Tile& products, const Heads& of, DeviceBuffer&& x, DeviceBuffer&& dx, bool first);
  // dg, but for gates that are clamped: those move nothing.
  Tile of_unclamped(const Tile& dg);
  void scatter_numbers(const Tile& t, int64_t rows, const Items& items, const Tensor& x, const Shape& shape);
  // Numbers of tokens, to the gradient of one number for each token or for each head, if that is wanted.
  void finish_tokens(uint32_t role, const Tile& numbers);
  void finish_heads(uint32_t role, const Tile& numbers);
  void finish_gates();

  // What stands around the scan of `ssd`, ssd_gradients.cpp.
  bool steps() const { return plan_.meaning.variant->steps(); }
  // OUT's gradient as the recurrence has it, past OUT_GATE, of which y is computed again where that has a gradient.
  Tile ungated_outputs();
  void finish_out_gates(const Tile& inverses);
  // From the gradients of values by their weights to those of the values, and what they give to SKIP and to steps.
  Tile past_weights(const Tile& dv);
  void finish_steps(const Tile& of_decays);
  void add_normaliser(const Tile& dk);  // to gradients of mirrored keys
  void forth();
  void back();

  Items items_{}, mirror_{}, mirror_of_gates_{}, first_tokens_{}, numbered_{};
  Tile q_{}, keys_{}, v_{}, g_{}, slopes_{};
  Tile weights_{};                      // of values, where they have such
  Tile as_came_{}, dy_{}, by_steps_{};  // values, gradients of outputs past OUT_GATE, and what values give to steps
  Decays forth_{}, back_{}, first_{};
  Tile of_queries_{}, of_keys_{};  // products of rows with their gradients, for each head of a state
  std::vector<Tile> states_;       // transposed, of the values of a key head
  Tile sums_{};
};

class NoncausalGradients : public Gradients {
 public:
  using Gradients::Gradients;
  void run();

 private:
  // Both become what they are after all keys.
  void sum_keys(Tile& turned, Tile& sums);
  void of_queries(const Tile& turned, const Tile& sums);
  void of_keys(const Tile& turned);

  Items of_queries_{}, of_keys_{};
  int64_t query_rows_ = 0, key_rows_ = 0;
  Tile keys_{}, v_{};
  Tile state_{}, z_{};  // gradients of what queries read
};

}  // namespace lathe
