#include "causal_backward.h"

#include <cmath>

#include "run.h"

namespace lathe {

CausalBackward::CausalBackward(Worker& worker, const Unit& unit)
    : GradientWalk(worker, unit), back_(forth_.reversed()), chunks_(chunks_of(p_.sizes.Tq, d_.C)) {
  std::fill_n(w_.at(b_.zeros), plan_.state_floats(), 0.f);
  std::fill_n(w_.gate(), 2 * d_.C, 0.f);  // where nothing decays it stays so
}

void CausalBackward::run() {
  if (normalise() || wants_gates() || of_out_gates() || corrects() || stabilise() || p_.wants_gradient(LATHE_Q) ||
      p_.wants_gradient(LATHE_PROJECTION)) {
    for (int64_t h = 0; h < unit_.heads; h++) load_forth(h);
    // where chunks keep something for the walk back they are cut as it cuts them
    walk_chunks(
        0, forth_.queries, d_.C, unit_.heads, [&](const Step& now, const Step& next) { step_forth(now, next); },
        corrects());
  }
  for (int64_t h = 0; h < unit_.heads; h++) load_back(h);
  walk_chunks(0, back_.queries, d_.C, unit_.heads, [&](const Step& now, const Step& next) { step_back(now, next); });
  for (int64_t h = 0; h < unit_.heads; h++) save_back(h);
}

void CausalBackward::load_forth(int64_t h) const {
  const Gradient g(w_, forth_);
  for (int64_t value = 0; value < group_.values(); value++) {
    load_state(h, value, transposed(h, value));
    g.transpose_state(transposed(h, value), w_.state(carried(h), value));
    std::fill_n(products(h, value), p_.sizes.Tq, 0.f);
    if (keyed() && wants_gates()) std::fill_n(product_rows(h, value), (p_.sizes.Tq + d_.C) * d_.K, 0.f);
  }
  load_z(h);
}

void CausalBackward::step_forth(const Step& now, const Step& next) const {
  const Gradient g(w_, forth_);
  const int64_t h = now.head;
  const Tile keys = keys_forth(g, now);
  Tile values{};
  Worker::Rows gates{};
  int64_t at_hand = -1;
  const auto hold = [&](int64_t value, bool fresh = false) {
    if (value == at_hand) return;
    if (!corrects()) values = g.values(now, value_head(h, value));  // and steps, which gates may be made of
    gates = fill_gates(g, forth_, now, value_head(h, value));
    if (fresh) correct(g, now, keys, value);
    if (corrects()) values = Gradient::rows_of(taken(value), d_.V);
    g.turn(values);
    g.take_keys(keys);
    at_hand = value;
  };
  for (int64_t value = group_.values(); corrects() && value-- > 0;) hold(value, true);
  const Tile sums = Gradient::rows_of(w_.at(b_.sums), d_.K);
  const bool reads_queries =
      normalise() || wants_gates() || of_out_gates() || stabilise() || plan_.meaning.unit(LATHE_Q);
  if (normalise()) {
    hold(0);
    g.running_sums(keys, gates, w_.z(carried(h)), w_.at(b_.sums));
  }
  float *inv = w_.inv(), *dots = w_.at(b_.row);
  const Worker::Room more{w_.at(b_.dk), d_.K};
  for (int64_t query = 0; query < queries_; query++) {
    const Tile q = reads_queries ? g.queries(now, query_head(h, query)) : Tile{};
    const Worker::Room dq = g.room_for_mapped(LATHE_Q, now, query_head(h, query), w_.at(b_.dq));
    if (normalise()) g.denominators(q, sums, inv);
    bool first = true;
    for (int64_t l = 0; l < group_.outputs(); l++) {
      if (group_.query_of(l) != query) continue;
      hold(group_.value_of(l));
      const Tile out = g.weighed(g.outputs(now, output_head(h, l)), normalise() ? inv : nullptr);
      const Worker::Room& to = first ? dq : more;
      g.attend(out, keys, w_.state(carried(h), at_hand), to);
      if (wants_gates() && !normalise()) keep_products(g, now, at_hand, q, to);
      if (of_out_gates()) finish_out_gates(g, now, l, {keys, q, values});
      if (!first) g.add(dq, Gradient::rows_of(more, d_.K), g.ones());
      first = false;
    }
    if (normalise()) {
      g.dots(q, dq, dots);
      g.denominator_gradients(inv, dots);
      g.add(dq, sums, dots);
      keep(inv, now, inverses(h, query));
      keep(dots, now, denominators(h, query));
      if (wants_gates()) keep_products(g, now, 0, q, dq);
    }
    g.finish_mapped(LATHE_Q, now, query_head(h, query), key_head(h), dq, q);
  }
  for (int64_t value = 0; value < group_.values(); value++) {
    hold(value);
    // the state of gates for each key decays row by row; its transposed is what dQ reads
    float *state = w_.state(carried(h), value), *rows = keeps_state() ? transposed(h, value) : state;
    g.advance(keeps_state() ? keys : values, keeps_state() ? values : keys, rows,
              asking(forth_, next, value == 0, {LATHE_K, LATHE_V, gradient_of(LATHE_O), gradient_of(LATHE_Q)}));
    if (keeps_state()) g.transpose_state(rows, state);
  }
}

void CausalBackward::load_back(int64_t h) const {
  const Gradient g(w_, back_);
  for (int64_t value = 0; value < group_.values(); value++) {
    w_.load_states(gradient_of(LATHE_STATE_OUT), gradient_of(LATHE_MOMENTUM_OUT), back_.state, value_head(h, value),
                   transposed(h, value));
    if (!keyed()) given(h, value) = {};
    if (wants_gates()) give_last_state(h, value);
    std::copy_n(transposed(h, value), plan_.state_floats(), w_.state(carried(h), value));
    g.transpose_state(w_.state(carried(h), value), transposed(h, value));
  }
  float *z = w_.z(carried(h)), *gradient = w_.at(b_.row);
  w_.load_z(p_[gradient_of(LATHE_Z_OUT)], back_.state, key_head(h), gradient);
  for (int64_t key = 0; wants_gates() && normalise() && key < d_.K; key++)
    (keyed() ? given_keys(h, 0)[key] : given(h, 0).gate) += static_cast<double>(z[key]) * gradient[key];
  std::copy_n(gradient, d_.K, z);
}

void CausalBackward::step_back(const Step& now, const Step& next) const {
  const Gradient g(w_, back_);
  const int64_t h = now.head;
  const Tile keys = keys_back(g, now);
  float* weights = w_.inv();
  const Worker::Room dk = g.room_for_mapped(LATHE_K, now, key_head(h), w_.at(b_.dk));
  Tile q{};
  int64_t at_hand = -1;
  const auto hold = [&](int64_t query) {
    if (query != at_hand) q = g.queries(now, query_head(h, query));
    at_hand = query;
  };
  for (int64_t value = 0; value < group_.values(); value++) {
    const Worker::Rows gates = fill_gates(g, back_, now, value_head(h, value));
    const Tile values = corrects() ? taken_back(g, now, value) : g.values(now, value_head(h, value));
    float *state = w_.state(carried(h), value), *turned = transposed(h, value);
    const Worker::Room dv = g.room_for_values(now, value_head(h, value), w_.at(b_.dv)),
                       dk_of_value = value == 0 ? dk : Worker::Room{w_.at(b_.dq), d_.K}, more_v{w_.at(b_.row), d_.V},
                       more_k{w_.at(b_.row), d_.K};
    bool first = true;
    for (int64_t l = 0; l < group_.outputs(); l++) {
      if (group_.value_of(l) != value) continue;
      hold(group_.query_of(l));
      if (normalise()) take(inverses(h, at_hand), back_, now, weights);
      Tile out = g.outputs(now, output_head(h, l));
      if (p_[LATHE_SKIP].present()) add_skipped(g, out, first);
      out = g.weighed(out, normalise() ? weights : nullptr);
      // the state counts once for all the outputs of a value
      g.take_keys(q);
      g.attend_by_keys(keys, q, out, first ? state : w_.at(b_.zeros), first ? dv : more_v);
      if (!first) g.add(dv, Gradient::rows_of(more_v, d_.V), g.ones());
      g.turn(out);
      g.attend(values, q, first ? turned : w_.at(b_.zeros), first ? dk_of_value : more_k);
      if (!first) g.add(dk_of_value, Gradient::rows_of(more_k, d_.K), g.ones());
      if (first)
        g.advance(
            q, out, state,
            asking(back_, next, value == 0,
                   {LATHE_Q, LATHE_K, LATHE_V, gradient_of(LATHE_O), gradient_of(LATHE_K), gradient_of(LATHE_V)}));
      else
        g.advance_further(q, out, state);
      if (lags() && wants_gates()) add_own(g, now, at_hand, {keys, q, values}, out, first);
      first = false;
    }
    if (corrects()) correct_back(g, now, value, {keys, q, values}, dv, dk_of_value);
    g.transpose_state(state, turned);
    if (steps()) take_steps(g, now, value, dv);
    if (plan_.meaning.variant->foresees()) g.weigh(Gradient::rows_of(dv, d_.V), w_.dt(), dv);
    g.finish_values(now, value_head(h, value), dv);
    if (normalise() && value == 0) of_normaliser(g, now, hold, q, gates, dk);
    if (wants_gates()) finish_gates(g, now, value, keys, dk_of_value);
    if (corrects()) finish_keys(g, {keys, q, values}, dv, dk_of_value);
    if (value > 0) g.add(dk, Gradient::rows_of(dk_of_value, d_.K), g.ones());
  }
  if (stabilise()) take(peaks(h), back_, now, w_.peaks());
  g.finish_mapped(LATHE_K, now, key_head(h), key_head(h), dk, keys);
}

template <typename Hold>
void CausalBackward::of_normaliser(const Gradient& g, const Step& now, Hold hold, const Tile& q,
                                   const Worker::Rows& gates, const Worker::Room& dk) const {
  float *weighed = w_.at(b_.weighed), *weights = w_.inv();
  for (int64_t query = 0; query < queries_; query++) {
    hold(query);
    take(denominators(now.head, query), back_, now, weights);
    if (query == 0)
      g.weigh(q, weights, {weighed, d_.K});
    else
      g.add({weighed, d_.K}, q, weights);
  }
  g.running_sums(Gradient::rows_of(weighed, d_.K), gates, w_.z(carried(now.head)), w_.at(b_.sums));
  g.add(dk, Gradient::rows_of(w_.at(b_.sums), d_.K), g.ones());
}

Tile CausalBackward::keys_back(const Gradient& g, const Step& now) const {
  if (!stabilise()) return g.keys(now, key_head(now.head), 0);
  const int64_t first = back_.token(now.t + now.rows - 1) - back_.first;
  const Tile keys = keys_forth(Gradient(w_, forth_), {first, now.rows, now.head});
  for (float *row = w_.k(), *last = row + (now.rows - 1) * d_.K; row < last; row += d_.K, last -= d_.K)
    std::swap_ranges(row, row + d_.K, last);
  return keys;
}

void CausalBackward::save_back(int64_t h) const {
  for (int64_t value = 0; value < group_.values(); value++) {
    const int64_t head = value_head(h, value);
    float *state = w_.state(carried(h), value), *z = w_.z(carried(h)), *left = w_.at(b_.row);
    first_left(h, value, left);
    for (int64_t key = 0; key < d_.K; key++)
      for (int64_t x = 0; x < d_.V; x++) state[key * d_.V + x] *= left[key];
    w_.save_states(state, gradient_of(LATHE_STATE_IN), gradient_of(LATHE_MOMENTUM_IN), forth_.state, head,
                   {0, p_.sizes.V});
    for (int64_t key = 0; value == 0 && key < d_.K; key++) z[key] *= left[key];
    if (p_.wants_gradient(LATHE_BONUS))
      std::copy_n(
          given_bonus(h, value), d_.K,
          w_.shared() + shared_layout(plan_, p_).bonuses + (unit_.sequence * p_.sizes.state_heads() + head) * d_.K);
    if (keyed()) continue;
    const Given& sums = given(h, value);
    float* numbers = w_.shared() + shared_layout(plan_, p_).heads +
                     (unit_.sequence * p_.sizes.state_heads() + head) * kNumbersOfHeads;
    for (double sum : {sums.decay, sums.bias, sums.skip}) *numbers++ = static_cast<float>(sum);
  }
  w_.save_z(w_.z(carried(h)), p_[gradient_of(LATHE_Z_IN)], forth_.state, key_head(h));
}
void run_causal_backward(Worker& worker, const Unit& unit) { CausalBackward(worker, unit).run(); }

}  // namespace lathe
