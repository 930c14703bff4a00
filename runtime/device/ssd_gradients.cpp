// Gradients of what stands around the scan of `ssd` on a device: steps, their bias, SKIP and OUT_GATE.
#include "gradients.h"

namespace lathe {

Tile CausalGradients::ungated_outputs() {
  const Tile dy = outputs(items_, d_.C);
  const Tensor& x = p_[LATHE_OUT_GATE];
  if (!x.present()) return dy;
  const Tile gates = gather(x, of_tokens(x), items_, s_.V, d_.V, d_.C, s_.out_heads()), to = like(dy);
  launcher_.call(*k_.gate_rows, rows(dy), rows(gates), rows(to));
  return to;
}

void CausalGradients::finish_out_gates(const Tile& inverses) {
  const Tile before = entering_states(), y = tile(d_.V, d_.C, items_.count, s_.out_heads());
  Tile state{};
  int64_t at_hand = -1;
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    if (const int64_t value = group_.value_of(l); value != at_hand) {
      state = scan(keys_, all(keys_), v_, of.values, rows(before, of.values), forth_, of.values);
      at_hand = value;
    }
    attend(rows(q_, of.queries), rows(keys_), rows(v_, of.values), rows(state, all(state), 0, items_.count), forth_,
           of.values, rows(y, of.outputs));
  }
  const Tensor& x = p_[LATHE_OUT_GATE];
  const Tile gates = gather(x, of_tokens(x), items_, s_.V, d_.V, d_.C, s_.out_heads()), dz = like(y);
  launcher_.call(*k_.gate_slopes, rows(outputs(items_, d_.C)),
                 rows(with_skipped(over_denominators(y, inverses), as_came_, items_)), rows(gates), rows(dz));
  finish(LATHE_OUT_GATE, dz, items_, s_.V);
}

Tile CausalGradients::past_weights(const Tile& dv) {
  if (!steps()) return weights_.heads > 0 ? weighed(dv, weights_) : dv;
  by_steps_ = numbers_of_rows(dv);
  launcher_.call(*k_.row_dots, rows(as_came_), rows(dv), row(by_steps_));
  const Tile weighed_dv = weighed(dv, weights_);
  if (!p_[LATHE_SKIP].present()) return weighed_dv;
  const Tile skipped = like(dv), to = like(dv), skip = numbers(LATHE_SKIP), dots = numbers_of_rows(dv);
  std::vector<bool> begun(static_cast<size_t>(group_.values()));
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    const auto value = static_cast<size_t>(group_.value_of(l));
    sum(skipped, of.values, rows(dy_, of.outputs), !begun[value]);
    begun[value] = true;
  }
  launcher_.call(*k_.skip_rows, rows(weighed_dv), rows(skipped), number_again(skip, all(skip), items_.count), rows(to));
  launcher_.call(*k_.row_dots, rows(as_came_), rows(skipped), row(dots));
  finish_heads(LATHE_SKIP, dots);
  return to;
}

void CausalGradients::finish_steps(const Tile& of_decays) {
  const Meaning& m = plan_.meaning;
  const bool cut = m.clamps() && !m.softplus();
  const Tile steps = cut ? decays(items_, false, false).steps : forth_.steps, decay = numbers(LATHE_DECAY),
             of_steps = numbers_of_rows(as_came_), of_decay = numbers_of_rows(as_came_);
  launcher_.call(*k_.step_slopes, row(steps), row(of_decays), row(by_steps_),
                 number_again(decay, all(decay), items_.count), int32_t{m.softplus()}, int32_t{m.clamps()},
                 row(of_steps), row(of_decay));
  finish_tokens(LATHE_DT, of_steps);
  finish_heads(LATHE_DT_BIAS, of_steps);
  finish_heads(LATHE_DECAY, of_decay);
}

}  // namespace lathe
