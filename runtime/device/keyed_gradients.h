// Gradients of the causal scan on a device where each key dimension has a gate: the chunks of gradients.h, whose
// queries and keys generators/key_gates.cpp makes ready for each other.
#pragma once

#include <limits>

#include "gradients.h"

namespace lathe {

class KeyedGradients : public CausalGradients {
 public:
  using CausalGradients::CausalGradients;
  void run();

 private:
  // The gates that a walk meets with each token, and what gate_sums makes of them.
  struct Gates {
    Tile each, rest, whole, left, rise;
  };
  // Keys as scores want them, and states.
  struct Keys {
    Tile down, kept;
  };

  bool lags() const { return plan_.meaning.variant->reads_before(); }
  int32_t lag() const { return lags() ? 1 : 0; }
  bool wants_gates() const { return p_.wants_gate_gradients(); }
  Tile gates_of(const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[LATHE_GATE];
    return gather(x, of_tokens(x), items, s_.K, d_.K, tile_rows, s_.HV);
  }
  Tile at_most_zero(const Tile& gates) {
    return plan_.meaning.clamps() ? clamped(gates, -std::numeric_limits<float>::infinity(), 0) : gates;
  }
  Gates sums_of(const Tile& gates);
  // Their rows are one more than those of the chunk, and more are there.
  DeviceBuffer sums(const Tile& t, const Heads& of) const {
    return {part(t, of, 0),
            kFloat,
            {{d_.K, 1}, {t.rows - kRows + 1, d_.K}, {t.items, t.item()}, {of.count, t.head() * of.step}}};
  }
  // What a token's own key counts, in so many rows that are alike.
  DeviceBuffer bonus_again(const Heads& of, int64_t rows) const {
    return {
        part(bonus_, of, 0), kFloat, {{d_.K, 1}, {rows, 0}, {items_.count, 0}, {of.count, bonus_.head() * of.step}}};
  }
  DeviceBuffer bonus(const Heads& of) const {
    if (!lags()) return row_of_all(ones_, d_.K, items_.count, of.count);
    return {part(bonus_, of, 0), kFloat, {{d_.K, 1}, {items_.count, 0}, {of.count, bonus_.head() * of.step}}};
  }

  Keys ready(const Tile& k, const Heads& of_k, const Gates& gates, const Heads& of);
  // As of CausalGradients, of the keys that are ready.
  Tile scan(const Keys& k, const Tile& v, const Heads& of_v, DeviceBuffer&& first, const Gates& gates, const Heads& of);
  Tile scan_sums(const Keys& k, const Tile& first, const Gates& gates);
  void carry_keys(DeviceBuffer&& added, DeviceBuffer&& first, const Gates& gates, const Heads& of, DeviceBuffer&& to);
  Tile running_sums(const Tile& keys, const Tile& entering, const Gates& gates);
  // o = q h + tril(q k^T) v with gates in the sums over q's columns, or with those of v's columns, the ready ones.
  void attend_by_keys(const Tile& q, DeviceBuffer&& k, const Keys& keys, DeviceBuffer&& v, const Tile& h,
                      const Gates& gates, const Heads& of, const Tile& o);
  void attend_columns(DeviceBuffer&& q, DeviceBuffer&& kt, DeviceBuffer&& v, const Keys& keys, const Tile& h,
                      const Gates& gates, const Heads& of, const Tile& o);
  Tile entering_turned(const Tile& states);
  // x += a b, by a number for each row.
  void add_products(const Tile& x, const Heads& of, DeviceBuffer&& a, DeviceBuffer&& b, DeviceBuffer&& by) {
    launcher_.call(*k_.add_products, rows(x, of), a, b, by, rows(x, of));
  }
  Tile later_rows(const Tile& more, DeviceBuffer&& less, const Items& rows, DeviceBuffer&& start, int64_t sequences);

  void forth();
  void back();
  void add_normaliser(const Tile& dk);
  // What a token's key gives to its own query by the bonus.
  void add_own(const OutputHeads& of);
  // What sequences begin with, by what their first token leaves of it; a query that reads before it has met its gate.
  bool leaves_first() const { return !lags() && items_.count > 0; }
  Tile first_left();
  Tile leave_first_sums(const Tile& sums);
  // Of the states that leave, with their gradients: what every gate of a sequence has.
  Tile last_products();
  void finish_gates();
  void finish_bonus();

  Items past_first_row_{};
  Tile came_{}, bonus_{}, own_{};
  Gates gates_forth_{}, gates_back_{};
};

}  // namespace lathe
