// Gradients of the causal scan: dQ is a scan of OUT's gradient over values and keys, and dK and dV are two of the same
// chunks from the last to the first, with what is transposed in place of what is not.
#include "gradients.h"

namespace lathe {

void CausalGradients::run() {
  items_ = tables_.chunks(p_, LATHE_Q, d_.C);
  mirror_ = tables_.mirrored(p_, LATHE_Q, d_.C);
  begin_gradients(LATHE_Q, d_.C, d_.C);
  q_ = mapped(LATHE_Q, items_, d_.C), keys_ = mapped(LATHE_K, items_, d_.C), v_ = values(items_, d_.C);
  forth();
  back();
  finish_projection();
}

Tile CausalGradients::scan(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first) {
  const Tile added = tile(v.columns, k.columns, k.items, s_.HK), to = tile(v.columns, k.columns, k.items + s_.N, s_.HK);
  launcher_.call(*k_.state, rows(k, of_k), rows(v, of_v), no_states(added), rows(added));
  carry(added, std::move(first), {}, to);
  return to;
}

Tile CausalGradients::scan_sums(const Tile& keys, const Tile& first) {
  const Tile added = zeros(d_.K, kRows, keys.items, s_.HK), to = tile(d_.K, kRows, keys.items + s_.N, s_.HK);
  launcher_.call(*k_.key_sum, rows(keys), row_of_all(nothing_, d_.K, keys.items, s_.HK), row(added));
  carry(added, rows(first), {}, to);
  return to;
}

Tile CausalGradients::running_sums(const Tile& keys, const Tile& entering) {
  const Tile to = like(keys);
  launcher_.call(*k_.running_sums, rows(keys), row(entering, all(entering), 0, keys.items),
                 DeviceBuffer(nothing_.place, kFloat, {{d_.C, 1}, {2, d_.C}, {keys.items, 0}, {s_.HK, 0}}), rows(to));
  return to;
}

Tile CausalGradients::mirrored(const Tile& x) {
  const Tile to = like(x);
  const int64_t last = x.item() - x.columns;
  launcher_.call(*k_.gather[static_cast<int>(Storage::kF32)],
                 DeviceBuffer(x.place, kFloat,
                              {{last + 1, 1},
                               {x.columns, 1},
                               {x.rows, -x.columns},
                               {x.items, x.item()},
                               {x.items, 0},
                               {x.heads, x.head()}}),
                 static_cast<int32_t>(last), tables_.list(mirror_, mirror_.token, x.heads),
                 tables_.list(mirror_, mirror_.batch, x.heads), tables_.list(mirror_, mirror_.rows, x.heads),
                 static_cast<int32_t>(x.columns), rows(to));
  return to;
}

Tile CausalGradients::turned(const Tile& x) {
  const Tile to = tile(d_.C, x.columns, x.items, x.heads);
  launcher_.call(*k_.transpose, rows(x), rows(to));
  return to;
}

void CausalGradients::forth() {
  const bool normalises = normalise();
  const Tile entering = turned_states(LATHE_STATE_IN), vt = turned(v_), dq = like(q_), more = like(keys_);
  const Tile z = normalises ? running_sums(keys_, scan_sums(keys_, sums_of_keys(LATHE_Z_IN))) : nothing_;
  Tile inverses = nothing_;
  if (normalises) {
    inverses = numbers_of_rows(q_), slopes_ = numbers_of_rows(q_);
    for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
      const Heads of = heads_of(s_.HQ, query);
      denominators(rows(q_, of), rows(z), row(inverses, of, 0, items_.count));
    }
  }
  g_ = outputs_weighed(items_, d_.C, inverses);
  std::vector<Tile> states;
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    states.push_back(scan(v_, of, keys_, all(keys_), rows(entering, of)));
  }
  for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
    const Heads of_query = heads_of(s_.HQ, query);
    bool first = true;
    for (int64_t l = 0; l < group_.outputs(); l++) {
      if (group_.query_of(l) != query) continue;
      const OutputHeads of = heads_of_output(l);
      const Tile& state = states[static_cast<size_t>(group_.value_of(l))];
      attend(rows(g_, of.outputs), rows(vt, of.values), rows(keys_), rows(state, all(state), 0, items_.count),
             rows(more));
      sum(dq, of_query, rows(more), first);
      first = false;
    }
    if (normalises) take_denominators(dq, q_, of_query, inverses, rows(z), slopes_);
  }
  finish_mapped(LATHE_Q, dq, items_);
}

void CausalGradients::back() {
  const Tile q = mirrored(q_), k = mirrored(keys_), v = mirrored(v_), g = mirrored(g_), qt = turned(q), gt = turned(g);
  const Tile state = states(gradient_of(LATHE_STATE_OUT)), turned_state = turned_states(gradient_of(LATHE_STATE_OUT));
  const Tile dk = like(k), dv = like(v), dstate = tile(d_.V, d_.K, s_.N, s_.HV), more_k = like(k),
             more_v = tile(d_.V, d_.C, k.items, s_.HK);
  std::vector<bool> begun(static_cast<size_t>(group_.values()));
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    // the gradient that comes in counts once for all the outputs of a value
    const bool first = !begun[static_cast<size_t>(group_.value_of(l))];
    begun[static_cast<size_t>(group_.value_of(l))] = true;
    const auto entering = [&](const Tile& x) { return first ? rows(x, of.values) : no_states_of_sequences(x); };
    const Tile r = scan(q, of.queries, g, of.outputs, entering(state));
    const Tile turned_r = scan(g, of.outputs, q, of.queries, entering(turned_state));
    attend(rows(k), rows(qt, of.queries), rows(g, of.outputs), rows(r, all(r), 0, k.items), rows(more_v));
    sum(dv, of.values, rows(more_v), first);
    attend(rows(v, of.values), rows(gt, of.outputs), rows(q, of.queries), rows(turned_r, all(turned_r), 0, k.items),
           rows(more_k));
    sum(dk, all(dk), rows(more_k), l == 0);
    sum(dstate, of.values, rows(r, all(r), k.items, s_.N), first);
  }
  if (normalise()) {
    const Tile weighed = like(keys_);
    for (int64_t query = 0; query < s_.HQ / s_.HK; query++) {
      const Heads of = heads_of(s_.HQ, query);
      if (query == 0)
        weigh(rows(q_, of), row(slopes_, of, 0, items_.count), rows(weighed));
      else
        add(weighed, all(weighed), rows(q_, of), row(slopes_, of, 0, items_.count));
    }
    const Tile keys = mirrored(weighed), entering = scan_sums(keys, sums_of_keys(gradient_of(LATHE_Z_OUT)));
    sum(dk, all(dk), rows(running_sums(keys, entering)), false);
    if (const Tensor& x = p_[gradient_of(LATHE_Z_IN)]; x.present())
      scatter(entering, k.items, x, of_sums(x), of_sums_, s_.K);
  }
  if (const Tensor& x = p_[gradient_of(LATHE_STATE_IN)]; x.present())
    scatter(dstate, 0, x, of_states(x), of_states_, s_.V);
  finish(LATHE_V, mirrored(dv), items_, s_.V);
  finish_mapped(LATHE_K, mirrored(dk), items_);
}

}  // namespace lathe
