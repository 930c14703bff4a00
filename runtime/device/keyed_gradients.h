// Gradients of the causal scan on a device where each key dimension has a gate: the chunks of gradients.h, whose
// queries and keys generators/key_gates.cpp makes ready for each other.
#pragma once

#include "gradients.h"

namespace lathe {

class KeyedGradients : public CausalGradients {
 public:
  using CausalGradients::CausalGradients;
  void run();

 private:
  bool wants_gates() const { return p_.wants_gate_gradients(); }
  // What a token's own key counts, in so many rows that are alike.
  DeviceBuffer bonus_again(const Heads& of, int64_t rows) const {
    return {
        part(bonus_, of, 0), kFloat, {{d_.K, 1}, {rows, 0}, {items_.count, 0}, {of.count, bonus_.head() * of.step}}};
  }

  // As of CausalGradients, of the keys that are ready.
  Tile scan(const Keys& k, const Tile& v, const Heads& of_v, DeviceBuffer&& first, const Gates& gates, const Heads& of);
  Tile scan_sums(const Keys& k, const Tile& first, const Gates& gates);
  Tile running_sums(const Tile& keys, const Tile& entering, const Gates& gates);
  // o = q h + tril(q k^T) v with gates in the sums over v's columns, the ready ones.
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

  Tile came_{}, own_{};
  Gates gates_forth_{}, gates_back_{};
};

}  // namespace lathe
