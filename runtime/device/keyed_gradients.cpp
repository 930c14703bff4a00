#include "keyed_gradients.h"

namespace lathe {

void KeyedGradients::run() {
  items_ = tables_.chunks(p_, LATHE_Q, d_.C), mirror_ = tables_.mirrored(p_, LATHE_Q, d_.C);
  numbered_ = tables_.numbered(p_), past_first_row_ = tables_.rows_of(items_.count, 1, d_.C);
  const Items following = tables_.following(p_, LATHE_Q, d_.C);
  begin_gradients(LATHE_Q, d_.C, d_.C);
  q_ = mapped(LATHE_Q, items_, d_.C), keys_ = mapped(LATHE_K, items_, d_.C), v_ = values(items_, d_.C);
  came_ = gates_of(items_, d_.C);
  gates_forth_ = sums_of(at_most_zero(came_));
  // walking back, a token's gate stands between it and the one before, unless its query reads before that
  gates_back_ = sums_of(mirrored(lags() ? gates_forth_.each : at_most_zero(gates_of(following, d_.C))));
  enter_bonus();
  if (wants_gates())
    for (Tile* products : {&of_queries_, &of_keys_, &own_}) *products = zeros(d_.K, d_.C, items_.count, s_.HV);
  forth();
  back();
  if (p_.wants_gradient(LATHE_GATE)) finish_gates();
  if (p_.wants_gradient(LATHE_BONUS)) finish_bonus();
  finish_projection();
  finish_weights();
}

Tile KeyedGradients::scan(const Keys& k, const Tile& v, const Heads& of_v, DeviceBuffer&& first, const Gates& gates,
                          const Heads& of) {
  const Tile to = tile(d_.V, d_.K, items_.count + s_.N, s_.HK);
  scan_keys(k, v, of_v, std::move(first), gates, of, to, all(to));
  return to;
}

// A sum is a state of one column: its keys are rows, which have gates.
Tile KeyedGradients::scan_sums(const Keys& k, const Tile& first, const Gates& gates) {
  const int64_t items = items_.count;
  const Heads of = heads_of(s_.HV, 0);
  const auto column = [&](const Tile& t) {
    return DeviceBuffer(t.place, kFloat,
                        {{1, 1}, {d_.K, 1}, {t.items / s_.N, s_.N * t.item()}, {s_.N, t.item()}, {t.heads, t.head()}});
  };
  const Tile added = tile(d_.K, kRows, items, s_.HK), to = tile(d_.K, kRows, items + s_.N, s_.HK);
  launcher_.call(*k_.key_sum, rows(k.kept), row_of_all(nothing_, d_.K, items, s_.HK), row(gates.left, of, 0, items),
                 row(gates.rise, of, 0, items), row(added));
  carry_keys(column(added), {first.place, kFloat, {{1, 1}, {d_.K, 1}, {s_.N, first.item()}, {s_.HK, first.head()}}},
             gates, of, column(to));
  return to;
}

Tile KeyedGradients::running_sums(const Tile& keys, const Tile& entering, const Gates& gates) {
  const Heads of = heads_of(s_.HV, 0);
  const Tile sums = like(keys), seen = like(keys);
  launcher_.call(*k_.running_key_sums, rows(keys), row(entering, all(entering), 0, items_.count), rows(gates.each, of),
                 bonus(of, items_.count), int32_t{lag()}, rows(sums), rows(seen));
  return seen;
}

void KeyedGradients::attend_columns(DeviceBuffer&& q, DeviceBuffer&& kt, DeviceBuffer&& v, const Keys& keys,
                                    const Tile& h, const Gates& gates, const Heads& of, const Tile& o) {
  launcher_.call(*k_.causal_columns, q, kt, v, rows(keys.down), rows(h), bonus(of, items_.count), sums(gates.whole, of),
                 sums(gates.rest, of), int32_t{lag()}, rows(o));
}

Tile KeyedGradients::entering_turned(const Tile& states) {
  const Tile to = tile(d_.K, d_.V, items_.count, s_.HK);
  launcher_.call(*k_.transpose, rows(states, all(states), 0, items_.count), at(to, all(to)), counted({&to}, all(to)),
                 rows(to));
  return to;
}

void KeyedGradients::forth() {
  const bool normalises = normalise();
  const Tile before = entering_states(), vt = turned(v_), dq = like(q_), more = like(keys_);
  std::vector<Keys> keys;
  std::vector<Tile> entering;
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    keys.push_back(ready(keys_, all(keys_), gates_forth_, of));
    states_.push_back(scan(keys.back(), v_, of, rows(before, of), gates_forth_, of));
    entering.push_back(entering_turned(states_.back()));
  }
  if (normalises) sums_ = scan_sums(keys.front(), entering_sums(LATHE_Z_IN), gates_forth_);
  const Tile z = normalises ? running_sums(keys_, sums_, gates_forth_) : nothing_;
  const Tile inverses = normalises ? inverses_of(q_, [&] { return rows(z); }) : nothing_;
  if (normalises) slopes_ = numbers_of_rows(q_);
  g_ = over_denominators(outputs(items_, d_.C), inverses);
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    const Heads of_query = heads_of(s_.HQ, query);
    for (const Output& of : outputs_of_query(query)) {
      attend_columns(rows(g_, of.outputs), rows(vt, of.values), rows(keys_), keys[of.value], entering[of.value],
                     gates_forth_, of.values, more);
      if (wants_gates() && !normalises)
        add_products(of_queries_, of.values, rows(q_, of_query), rows(more), ones(more, all(more)));
      sum(dq, of_query, rows(more), of.first);
    }
    if (!normalises) continue;
    take_denominators(dq, q_, of_query, inverses, rows(z), slopes_);
    // a normaliser goes with one decay for all values of its key head
    if (wants_gates())
      add_products(of_queries_, heads_of(s_.HV, 0), rows(q_, of_query), rows(dq, of_query), ones(dq, of_query));
  }
  finish_mapped(LATHE_Q, dq, items_);
}

void KeyedGradients::back() {
  const Tile q = mirrored(q_), k = mirrored(keys_), v = mirrored(v_), g = mirrored(g_), gt = turned(g);
  const Tile state = entering_states(gradient_of(LATHE_STATE_OUT));
  const Tile dk = like(k), dv = like(v), dstate = like(state), more_k = like(k),
             more_v = tile(d_.V, d_.C, k.items, s_.HK);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Tile of_value = like(k);
    for (const Output& of : outputs_of_value(value)) {
      const Keys queries = ready(q, of.queries, gates_back_, of.values);
      // the gradient that comes in counts once for all the outputs of a value
      const Tile r = scan(queries, g, of.outputs, of.first ? rows(state, of.values) : no_states_of_sequences(state),
                          gates_back_, of.values);
      attend_by_keys({k, all(k)}, rows(q, of.queries), queries, {g, of.outputs}, {r, all(r)}, gates_back_, of.values,
                     {more_v, all(more_v)});
      sum(dv, of.values, rows(more_v), of.first);
      attend_columns(rows(v, of.values), rows(gt, of.outputs), rows(q, of.queries), queries, entering_turned(r),
                     gates_back_, of.values, more_k);
      sum(of_value, all(of_value), rows(more_k), of.first);
      sum(dstate, of.values, rows(r, all(r), k.items, s_.N), of.first);
      if (lags() && wants_gates()) add_own(of);
    }
    if (normalise() && value == 0) add_normaliser(of_value);
    if (wants_gates())
      add_products(of_keys_, heads_of(s_.HV, value), rows(keys_), rows(mirrored(of_value)), ones(dk, all(dk)));
    sum(dk, all(dk), rows(of_value), value == 0);
  }
  if (const Tensor& x = p_[gradient_of(LATHE_STATE_IN)]; x.present()) {
    if (leaves_first()) weigh(rows(dstate), row(first_left()), rows(dstate));
    scatter(dstate, 0, x, of_states(x), of_states_, s_.V);
  }
  finish(LATHE_V, mirrored(dv), items_, s_.V);
  finish_mapped(LATHE_K, mirrored(dk), items_);
}

void KeyedGradients::add_normaliser(const Tile& dk) {
  const Heads of = heads_of(s_.HV, 0);
  const Tile keys = mirrored(weighed_queries(q_, slopes_)),
             entering = scan_sums(ready(keys, all(keys), gates_back_, of), entering_sums(gradient_of(LATHE_Z_OUT)),
                                  gates_back_);
  sum(dk, all(dk), rows(running_sums(keys, entering, gates_back_)), false);
  const Tensor& x = p_[gradient_of(LATHE_Z_IN)];
  if (!x.present()) return;
  if (leaves_first())
    scatter(leave_first_sums(entering), 0, x, of_sums(x), of_sums_, s_.K);
  else
    scatter(entering, keys.items, x, of_sums(x), of_sums_, s_.K);
}

void KeyedGradients::add_own(const OutputHeads& of) {
  const Tile dots = numbers_of_rows(keys_);
  launcher_.call(*k_.row_dots, rows(v_, of.values), rows(g_, of.outputs), row(dots));
  const auto add = [&](DeviceBuffer&& by) {
    add_products(own_, of.values, rows(q_, of.queries), rows(keys_), std::move(by));
  };
  add(row(dots));
  if (normalise()) add(row(slopes_, of.queries, 0, items_.count));
}

Tile KeyedGradients::first_left() {
  const Tile &each = gates_forth_.each, first = tile(d_.K, kRows, s_.N, s_.HV);
  gather(Storage::kF32,
         {each.place,
          kFloat,
          {{1, 1}, {d_.K, 1}, {each.rows, d_.K}, {each.items, each.item()}, {s_.N, 0}, {s_.HV, each.head()}}},
         0, numbered_, d_.K, first);
  return sums_of(first).left;
}

Tile KeyedGradients::leave_first_sums(const Tile& sums) {
  const Tile left = first_left(), to = tile(d_.K, kRows, s_.N, s_.HK);
  const auto again = [&](const Tile& t) { return row_again(t, all(t), kRows, 0, s_.N); };
  launcher_.call(*k_.add_products, DeviceBuffer(nothing_.place, kFloat, {{d_.K, 1}, {kRows, 0}, {s_.N, 0}, {s_.HK, 0}}),
                 rows(sums, all(sums), items_.count, s_.N), again(left), ones(to, all(to)), rows(to));
  return to;
}

void KeyedGradients::finish_gates() {
  const Tile last = last_products();
  const Tile dg = later_rows(of_queries_, by_chunks(of_keys_, s_.N), items_, row(last), s_.N);
  if (lags()) {
    // a token's own gate is none of its query's, but for what its key gives it
    const Tile minus = tile(d_.C, 1, 1, 1);
    fill(minus, -1);
    add_products(dg, all(dg), rows(own_), bonus_again(all(dg), d_.C), ones(dg, all(dg)));
    add(dg, all(dg), rows(of_queries_), row_of_all(minus, d_.C, dg.items, dg.heads));
  }
  const Tile to = plan_.meaning.clamps() ? like(dg) : dg;
  if (plan_.meaning.clamps()) launcher_.call(*k_.clamped_slopes, rows(dg), rows(came_), rows(to));
  finish(LATHE_GATE, to, items_, s_.K);
}

Tile KeyedGradients::last_products() {
  const Tile gradient = entering_states(gradient_of(LATHE_STATE_OUT)), to = tile(d_.K, kRows, s_.N, s_.HV);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    const Tile& state = states_[static_cast<size_t>(value)];
    launcher_.call(*k_.row_dots, rows(state, all(state), items_.count, s_.N), rows(gradient, of), row(to, of, 0, s_.N));
  }
  if (normalise())
    add_products(to, all(to), rows(sums_, all(sums_), items_.count, s_.N),
                 rows(entering_sums(gradient_of(LATHE_Z_OUT))), ones(to, all(to)));
  return to;
}

Tile KeyedGradients::later_rows(const Tile& more, DeviceBuffer&& less, const Items& rows, DeviceBuffer&& start,
                                int64_t sequences) {
  const Tile sums = like(more), lost = like(more), counted = like(more);
  launcher_.call(*k_.later_rows, by_chunks(more, sequences), less, start,
                 tables_.rows_of_chunks(rows, sequences, more.heads), by_chunks(sums, sequences),
                 by_chunks(lost, sequences), by_chunks(counted, sequences));
  return counted;
}

void KeyedGradients::finish_bonus() {
  const Tensor& x = p_[gradient_of(LATHE_BONUS)];
  const Tile all_tokens =
      items_.count == 0
          ? zeros(d_.K, kRows, 1, s_.HV)
          : later_rows(own_, {nothing_.place, kFloat, {{d_.K, 1}, {d_.C, 0}, {items_.count, 0}, {1, 0}, {s_.HV, 0}}},
                       mirror_, row_of_all(nothing_, d_.K, 1, s_.HV), 1);
  scatter(all_tokens, 0, x, {dimension(x, 1), {1, 0}, {1, 0}, dimension(x, 0)}, once_, s_.K);
}

}  // namespace lathe
