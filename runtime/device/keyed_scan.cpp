#include "keyed_scan.h"

namespace lathe {

void KeyedScan::run() {
  const Items items = tables_.chunks(p_, LATHE_Q, d_.C);
  past_first_row_ = tables_.rows_of(items.count, 1, d_.C);
  plan_tables(LATHE_Q, d_.C);
  for (const uint32_t role : {LATHE_V, LATHE_O}) take_in_place(role, items, d_.C);
  begin(d_.C);
  const Tile q = mapped(LATHE_Q, items, d_.C), k = mapped(LATHE_K, items, d_.C), v = values(items, d_.C);
  const Tile o = place_of_outputs(items, d_.C), before = entering_states();
  const Tile states = tile(d_.V, d_.K, items.count + s_.N, s_.HV);
  const Gates gates = sums_of(with_rises(at_most_zero(gates_of(items, d_.C))));
  enter_bonus();
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of_value = heads_of(s_.HV, value);
    const Keys keys = ready(k, all(k), gates, of_value);
    scan_keys(keys, v, of_value, rows(before, of_value), gates, of_value, states, of_value);
    for (const Output& of : outputs_of_value(value))
      attend_by_keys({q, of.queries}, rows(k), keys, {v, of_value}, {states, of_value}, gates, of_value,
                     {o, of.outputs});
  }
  if (!o.in_place) scatter(o, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), items, s_.V);
  for (const Ends& ends : ends_) save(ends, states, {}, ends.chunks * s_.N);
}

}  // namespace lathe
