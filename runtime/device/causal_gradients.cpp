// Gradients of the causal scan: dQ is a scan of OUT's gradient over values and keys, and dK and dV are two of the same
// chunks from the last to the first, with what is transposed in place of what is not.
#include "gradients.h"

namespace lathe {

void CausalGradients::run() {
  items_ = tables_.chunks(p_, LATHE_Q, d_.C);
  mirror_ = tables_.mirrored(p_, LATHE_Q, d_.C);
  mirror_of_gates_ = tables_.mirrored_gates(p_, d_.C), first_tokens_ = tables_.first_tokens(p_),
  numbered_ = tables_.numbered(p_);
  begin_gradients(LATHE_Q, d_.C, d_.C);
  q_ = mapped(LATHE_Q, items_, d_.C), keys_ = mapped(LATHE_K, items_, d_.C), as_came_ = values(items_, d_.C);
  forth_ = decays(items_), back_ = decays(mirror_of_gates_, true), first_ = decays(first_tokens_);
  if (plan_.meaning.variant->foresees()) weights_ = weights_to_come(items_);
  if (steps()) weights_ = forth_.steps;
  v_ = weights_.heads > 0 ? weighed(as_came_, weights_) : as_came_;
  if (wants_gates())
    for (Tile* products : {&of_queries_, &of_keys_}) *products = tile(d_.C, kRows, items_.count, s_.HV);
  forth();
  back();
  if (wants_gates()) finish_gates();
  finish_projection();
  finish_weights();
}

Tile CausalGradients::scan(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first,
                           const Decays& decays, const Heads& of) {
  const Tile to = tile(v.columns, k.columns, k.items + s_.N, s_.HK);
  scan_states(k, of_k, v, of_v, std::move(first), decays, of, to, all(to));
  return to;
}

Tile CausalGradients::scan_sums(const Tile& keys, const Tile& first, const Decays& decays) {
  const Tile added = zeros(d_.K, kRows, keys.items, s_.HK), to = tile(d_.K, kRows, keys.items + s_.N, s_.HK);
  with_sums(decays, all(keys), [&](auto&... b) {
    launcher_.call(*k_.key_sum, rows(keys), row_of_all(nothing_, d_.K, keys.items, s_.HK), b..., row(added));
  });
  carry(added, rows(first), decays, all(keys), to, all(to));
  return to;
}

Tile CausalGradients::running_sums(const Tile& keys, const Tile& entering, const Decays& decays) {
  const Tile to = like(keys);
  launcher_.call(*k_.running_sums, rows(keys), row(entering, all(entering), 0, keys.items),
                 decaying() ? rows(decays.sums)
                            : DeviceBuffer(nothing_.place, kFloat, {{d_.C, 1}, {2, d_.C}, {keys.items, 0}, {s_.HK, 0}}),
                 rows(to));
  return to;
}

void CausalGradients::leave_first(const Tile& x, int64_t first) {
  if (!decaying()) return;
  // the number once for each row
  const Tile &left = first_.left, by = tile(x.rows, kRows, s_.N, x.heads);
  gather(Storage::kF32,
         {left.place, kFloat, {{1, 1}, {x.rows, 0}, {1, 0}, {s_.N, left.item()}, {s_.N, 0}, {x.heads, left.head()}}}, 0,
         numbered_, x.rows, by);
  weigh(rows(x, all(x), first, s_.N), row(by), rows(x, all(x), first, s_.N));
}

Tile CausalGradients::mirrored(const Tile& x) {
  const Tile to = like(x);
  const int64_t last = x.item() - x.columns;
  gather(
      Storage::kF32,
      {x.place,
       kFloat,
       {{last + 1, 1}, {x.columns, 1}, {x.rows, -x.columns}, {x.items, x.item()}, {x.items, 0}, {x.heads, x.head()}}},
      static_cast<int32_t>(last), mirror_, x.columns, to);
  return to;
}

void CausalGradients::forth() {
  const bool normalises = normalise();
  const Tile entering = turned_states(LATHE_STATE_IN), dq = like(q_), more = like(keys_);
  if (normalises) sums_ = scan_sums(keys_, entering_sums(LATHE_Z_IN), forth_);
  const Tile z = normalises ? running_sums(keys_, sums_, forth_) : nothing_;
  const Tile inverses = normalises ? inverses_of(q_, [&] { return rows(z); }) : nothing_;
  if (normalises) slopes_ = numbers_of_rows(q_);
  dy_ = ungated_outputs();
  g_ = over_denominators(dy_, inverses);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    states_.push_back(scan(v_, of, keys_, all(keys_), rows(entering, of), forth_, of));
  }
  std::vector<bool> begun(static_cast<size_t>(group_.values()));
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    const Heads of_query = heads_of(s_.HQ, query);
    for (const Output& of : outputs_of_query(query)) {
      const Tile& state = states_[of.value];
      attend(rows(g_, of.outputs), rows(v_, of.values), rows(keys_), rows(state, all(state), 0, items_.count), forth_,
             of.values, rows(more));
      if (wants_gates() && !normalises) {
        add_products(of_queries_, of.values, rows(q_, of_query), rows(more), !begun[of.value]);
        begun[of.value] = true;
      }
      sum(dq, of_query, rows(more), of.first);
    }
    if (!normalises) continue;
    take_denominators(dq, q_, of_query, inverses, rows(z), slopes_);
    // a normaliser goes with one decay for all values of its key head
    if (wants_gates())
      add_products(of_queries_, heads_of(s_.HV, 0), rows(q_, of_query), rows(dq, of_query), query == 0);
  }
  finish_mapped(LATHE_Q, dq, items_);
  if (p_.wants_gradient(LATHE_OUT_GATE)) finish_out_gates(inverses);
}

void CausalGradients::back() {
  const Tile q = mirrored(q_), k = mirrored(keys_), v = mirrored(v_), g = mirrored(g_);
  const Tile state = entering_states(gradient_of(LATHE_STATE_OUT)),
             turned_state = turned_states(gradient_of(LATHE_STATE_OUT));
  const Tile dk = like(k), dv = like(v), dstate = tile(d_.V, d_.K, s_.N, s_.HV), more_k = like(k),
             more_v = tile(d_.V, d_.C, k.items, s_.HK);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Tile of_value = like(k);
    for (const Output& of : outputs_of_value(value)) {
      // the gradient that comes in counts once for all the outputs of a value
      const auto entering = [&](const Tile& x) { return of.first ? rows(x, of.values) : no_states_of_sequences(x); };
      const Tile r = scan(q, of.queries, g, of.outputs, entering(state), back_, of.values);
      const Tile turned_r = scan(g, of.outputs, q, of.queries, entering(turned_state), back_, of.values);
      attend(rows(k), rows(q, of.queries), rows(g, of.outputs), rows(r, all(r), 0, k.items), back_, of.values,
             rows(more_v));
      sum(dv, of.values, rows(more_v), of.first);
      attend(rows(v, of.values), rows(g, of.outputs), rows(q, of.queries), rows(turned_r, all(turned_r), 0, k.items),
             back_, of.values, rows(more_k));
      sum(of_value, all(of_value), rows(more_k), of.first);
      sum(dstate, of.values, rows(r, all(r), k.items, s_.N), of.first);
    }
    if (normalise() && value == 0) add_normaliser(of_value);
    if (wants_gates()) {
      const Tile forth = mirrored(of_value);
      add_products(of_keys_, heads_of(s_.HV, value), rows(keys_), rows(forth), true);
    }
    sum(dk, all(dk), rows(of_value), value == 0);
  }
  leave_first(dstate, 0);
  if (const Tensor& x = p_[gradient_of(LATHE_STATE_IN)]; x.present())
    scatter(dstate, 0, x, of_states(x), of_states_, s_.V);
  finish(LATHE_V, past_weights(mirrored(dv)), items_, s_.V);
  finish_mapped(LATHE_K, mirrored(dk), items_);
}

void CausalGradients::add_normaliser(const Tile& dk) {
  const Tile keys = mirrored(weighed_queries(q_, slopes_)),
             entering = scan_sums(keys, entering_sums(gradient_of(LATHE_Z_OUT)), back_);
  sum(dk, all(dk), rows(running_sums(keys, entering, back_)), false);
  const Tensor& x = p_[gradient_of(LATHE_Z_IN)];
  if (!x.present()) return;
  leave_first(entering, keys.items);
  scatter(entering, keys.items, x, of_sums(x), of_sums_, s_.K);
}

void CausalGradients::add_products(const Tile& products, const Heads& of, DeviceBuffer&& x, DeviceBuffer&& dx,
                                   bool first) {
  if (first) {
    launcher_.call(*k_.row_dots, x, dx, row(products, of, 0, items_.count));
    return;
  }
  const Tile more = tile(d_.C, kRows, items_.count, s_.HK);
  launcher_.call(*k_.row_dots, x, dx, row(more));
  launcher_.call(*k_.add_rows, rows(products, of), rows(more), row_of_all(ones_, kRows, items_.count, s_.HK),
                 rows(products, of));
}

// What a token leaves of the states has, besides what the tokens from it on read and wrote, the product of the last
// state and its gradient.
void CausalGradients::finish_gates() {
  const auto no_numbers = [&](const Tile& x) { return zeros(x.columns, x.rows, x.items, x.heads); };
  const auto start = [&](const Tile& t) { return number(t, all(t), 0, s_.N); };
  const Tile turned_state = turned_states(gradient_of(LATHE_STATE_OUT)), dots = tile(d_.V, kRows, s_.N, s_.HV);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    const Tile& state = states_[static_cast<size_t>(value)];
    launcher_.call(*k_.row_dots, rows(state, all(state), items_.count, s_.N), rows(turned_state, of),
                   row(dots, of, 0, s_.N));
  }
  Tile last = later_sums(dots, no_numbers(dots), of_turned_, number_of_all(nothing_, s_.N, s_.HV), d_.V, s_.N).counted;
  if (normalise()) {
    const Tile of_sums = tile(kRows, kRows, s_.N, s_.HK);
    const Tile gradient = entering_sums(gradient_of(LATHE_Z_OUT));
    launcher_.call(*k_.row_dots, rows(sums_, all(sums_), items_.count, s_.N), rows(gradient), row(of_sums));
    last = later_sums(of_sums, no_numbers(of_sums), of_turned_, start(last), kRows, s_.N).counted;
  }
  const Tile gates = of_unclamped(later_sums(of_queries_, of_keys_, items_, start(last), d_.C, s_.N).counted);
  if (steps()) return finish_steps(gates);
  finish_tokens(LATHE_GATE, gates);
  finish_heads(LATHE_DECAY, gates);
}

Tile CausalGradients::of_unclamped(const Tile& dg) {
  if (!plan_.meaning.clamps()) return dg;
  const Tile to = like(dg);
  const auto take = [&](DeviceBuffer&& gates) { launcher_.call(*k_.clamped_slopes, rows(dg), gates, rows(to)); };
  if (const Tensor& x = p_[LATHE_GATE]; x.present()) {
    take(rows(turned(
        gather(x, {{1, 0}, dimension(x, 1), dimension(x, 0), dimension(x, 2)}, items_, 1, kRows, d_.C, dg.heads))));
  } else {
    const Tensor& decay = p_[LATHE_DECAY];
    const Tile each = gather(decay, {{d_.C, 0}, {1, 0}, {1, 0}, dimension(decay, 0)}, once_, d_.C, d_.C, 1, dg.heads);
    take(rows_again(each, all(each), dg.items));
  }
  return to;
}

void CausalGradients::scatter_numbers(const Tile& t, int64_t rows, const Items& items, const Tensor& x,
                                      const Shape& shape) {
  launcher_.call(*k_.scatter[static_cast<int>(x.storage)],
                 DeviceBuffer(t.place, kFloat, {{1, 1}, {rows, 1}, {items.count, t.item()}, {t.heads, t.head()}}),
                 from(x), tables_.list(items, items.token, t.heads), tables_.list(items, items.batch, t.heads),
                 tables_.list(items, items.rows, t.heads), int32_t{1}, tables_.list(items, items.all, t.heads),
                 callers(x, shape, items.count, t.heads));
}

void CausalGradients::finish_tokens(uint32_t role, const Tile& numbers) {
  if (const Tensor& x = p_[gradient_of(role)]; x.present())
    scatter_numbers(numbers, d_.C, items_, x, {{1, 0}, dimension(x, 1), dimension(x, 0), dimension(x, 2)});
}

void CausalGradients::finish_heads(uint32_t role, const Tile& numbers) {
  const Tensor& x = p_[gradient_of(role)];
  if (!x.present()) return;
  const Tile none = zeros(d_.C, kRows, std::max<int64_t>(items_.count, 1), s_.HV);
  const Tile all_tokens =
      items_.count == 0 ? none : later_sums(numbers, none, mirror_, number_of_all(nothing_, 1, s_.HV), d_.C, 1).counted;
  scatter_numbers(all_tokens, 1, once_, x, {{1, 0}, {1, 0}, {1, 0}, dimension(x, 0)});
}

}  // namespace lathe
