#include "delta_scan.h"

namespace lathe {

void DeltaScan::run() {
  items_ = tables_.chunks(p_, LATHE_Q, d_.C);
  past_first_row_ = tables_.rows_of(items_.count, 1, d_.C);
  plan_tables(LATHE_Q, d_.C);
  take_in_place(LATHE_O, items_, d_.C);
  begin(d_.C);
  q_ = mapped(LATHE_Q, items_, d_.C), keys_ = mapped(LATHE_K, items_, d_.C), v_ = values(items_, d_.C);
  o_ = place_of_outputs(items_, d_.C), beta_ = betas_of_chunks();
  if (keyed())
    gates_ = sums_of(at_most_zero(gates_of(items_, d_.C)));
  else
    decays_ = decays(items_), turned_keys_ = turned(keys_), no_decays_ = zeros(d_.C, 2, 1, 1);
  states_ = tile(d_.V, d_.K, items_.count + s_.N, s_.HV);
  const Tile before = entering_states();
  launcher_.call(*k_.weigh_rows, rows(before), row_of_all(ones_, d_.K, s_.N, s_.HV),
                 rows(states_, all(states_), 0, s_.N));
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    if (keyed()) ready_ = ready(keys_, all(keys_), gates_, of);
    const Tile added = tile(d_.V, d_.C, items_.count, s_.HK);
    walk(solve(of), of, added);
    outputs(value, added);
  }
  if (!o_.in_place) scatter(o_, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), items_, s_.V);
  for (const Ends& ends : ends_) save(ends, states_, {}, ends.chunks * s_.N);
}

Tile DeltaScan::betas_of_chunks() {
  const Tensor& x = p_[LATHE_BETA];
  return betas(turned(gather(x, of_numbers(x), items_, 1, kRows, d_.C, s_.state_heads())));
}

DeltaScan::Taken DeltaScan::solve(const Heads& of) {
  const int64_t items = items_.count, heads = s_.HK;
  const auto another = [&](int64_t columns) { return tile(columns, d_.C, items, heads); };
  const Tile of_values = another(d_.C), of_keys = another(d_.C), of_state = another(d_.K);
  Tile meeting = keys_;
  if (keyed())
    meeting = solve_by_keys(of, of_values, of_keys);
  else
    launcher_.call(*k_.delta_solve, rows(keys_), rows(turned_keys_), row(beta_, of, 0, items),
                   decays_.sums.heads > 0 ? rows(decays_.sums, of) : rows_of_all(no_decays_, d_.C, items, heads),
                   rows(of_values), rows(of_keys));
  // a product that no state takes part in: rows of no width
  launcher_.call(*k_.delta_values, DeviceBuffer(zeros_.place, kFloat, {{0, 1}, {d_.C, 0}, {items, 0}, {heads, 0}}),
                 rows(of_keys), rows(meeting),
                 DeviceBuffer(zeros_.place, kFloat, {{d_.K, 1}, {0, d_.K}, {items, 0}, {heads, 0}}), rows(of_state));
  return {of_values, of_state};
}

Tile DeltaScan::solve_by_keys(const Heads& of, const Tile& of_values, const Tile& of_keys) {
  const int32_t block = k_.delta_solve->row_grain;
  const Queries met = meet({keys_, all(keys_)}, rows(keys_), ready_, gates_, of, block);
  launcher_.call(*k_.delta_solve, rows(met.near), rows(turned(ready_.down)), row(beta_, of, 0, items_.count),
                 rows(sums_after(gates_, of)), sums_before(gates_, of, block), rows(met.pairs), rows(of_values),
                 rows(of_keys));
  return met.entering;
}

void DeltaScan::walk(const Taken& taken, const Heads& of, const Tile& added) {
  const int64_t N = s_.N;
  const auto of_chunk = [&](const Tile& t, int64_t first) { return rows(t, all(t), first, N); };
  for (int64_t first = 0; first < items_.count; first += N) {
    launcher_.call(*k_.delta_values, of_chunk(taken.of_state, first), of_chunk(taken.of_values, first),
                   rows(v_, of, first, N), rows(states_, of, first, N), of_chunk(added, first));
    const auto step = [&](const Tile& keys, auto&&... left) {
      launcher_.call(*k_.state, of_chunk(keys, first), of_chunk(added, first), rows(states_, of, first, N), left...,
                     at(N, s_.HK), at(N, s_.HK), counted(N, s_.HK), rows(states_, of, first + N, N));
    };
    if (keyed())
      step(ready_.kept, row(gates_.left, of, first, N), row(gates_.rise, of, first, N));
    else if (decays_.sums.heads > 0)
      step(keys_, rows(decays_.sums, of, first, N));
    else
      step(keys_);
  }
}

void DeltaScan::outputs(int64_t value, const Tile& added) {
  const int64_t items = items_.count, heads = s_.HK;
  for (const Output& of : outputs_of_value(value)) {
    if (keyed()) {
      attend_by_keys({q_, of.queries}, rows(keys_), ready_, {added, all(added)}, {states_, of.values}, gates_,
                     of.values, {o_, of.outputs});
      continue;
    }
    with_sums(decays_, of.values, [&](auto&... b) {
      launcher_.call(*k_.causal, rows(q_, of.queries), rows(keys_), rows(added), rows(states_, of.values, 0, items),
                     b..., at(items, heads), at(items, heads), at(items, heads), at(o_, of.outputs),
                     written(o_, of.outputs), counted({&added, &o_}, of.outputs), rows(o_, of.outputs));
    });
  }
}

}  // namespace lathe
