// Gradients of the delta rule. Forth, what values differ by is found and kept, and the state that enters each chunk of
// tokens; dQ is read of the state transposed. Back, the states of a chunk are found again from those, since a token
// wants the one that it met beside R: x has dx = k R, dv = beta dx, and what its key took away of the state is not in R
// then,
//
//   Y = R - k^T dv      dk = x R^T - dv (a S)^T      dg = rowsum(S * a Y)
//
// which is the gradient of gates without the sums over tokens of docs/operators.md, since both states are at hand.

#include "token_gradients.h"

namespace lathe {

void DeltaGradients::run() {
  begin_tokens();
  load();
  g_ = over_denominators(outputs(items_, 1), nothing_);
  const Tile dq = forth();
  back();
  finish_keys();
  finish_betas();
  finish_gates();
  finish_mapped(LATHE_Q, dq, items_);
  finish_projection();
  finish_weights();
}

void DeltaGradients::load() {
  const int64_t heads = s_.HV, count = items_.count;
  const auto again = [&](const Tensor& x) {
    return gather(x, {{s_.K, 0}, dimension(x, 1), dimension(x, 0), dimension(x, 2)}, items_, s_.K, d_.K, 1, heads);
  };
  came_ = variant().keyed()    ? of_each_key(LATHE_GATE, items_)
          : variant().decays() ? again(p_[LATHE_GATE])
                               : rows_of_tokens(d_.K, heads);
  const Tile gates = at_most_zero(came_);
  kept_ = exponentials(gates), taken_keys_ = like(gates);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    launcher_.call(*k_.add_products, rows_of_all(no_keys_, d_.K, count, s_.HK), rows(kept_, of), rows(keys_),
                   row_of_all(minus_ones_, kRows, count, s_.HK), rows(taken_keys_, of));
  }
  beta_ = betas(items_);
  turned_ = tile(d_.K, d_.V, s_.N, heads);
}

Tile DeltaGradients::forth() {
  const Tile state = copy(entering_states()), taken_away = zeros(d_.V, kRows, s_.N, s_.HV);
  const Tile of_outputs = rows_of_tokens(d_.K, s_.out_heads());
  differences_ = like(v_), taken_ = like(v_);
  for (int64_t first = 0; first < items_.count; first += s_.N) {
    if (first / s_.N % d_.C == 0) entered_.push_back(copy(state));
    for (int64_t value = 0; value < group_.values(); value++) {
      const Heads of = heads_of(s_.HV, value);
      read(token(taken_keys_, of, first), state, of, one(), token(taken_away, of, 0));
      launcher_.call(*k_.add_rows, tile_of_token(v_, of, first), rows(taken_away, of), row_of_ones(kRows),
                     tile_of_token(differences_, of, first));
      weigh(tile_of_token(differences_, of, first), token(beta_, of, first), tile_of_token(taken_, of, first));
      move_on(state, of, first);
      turn(state, of, turned_);
    }
    for (int64_t l = 0; l < group_.outputs(); l++) {
      const OutputHeads of = heads_of_output(l);
      read(token(g_, of.outputs, first), turned_, of.values, one(), token(of_outputs, of.outputs, first));
    }
  }
  return of_queries(of_outputs);
}

void DeltaGradients::back() {
  state_ = entering_states(gradient_of(LATHE_STATE_OUT));
  for (Tile* of_values : {&added_, &dv_}) *of_values = rows_of_tokens(d_.V, s_.HV);
  for (Tile* of_keys : {&later_, &earlier_, &gates_}) *of_keys = rows_of_tokens(d_.K, s_.HV);
  std::vector<Tile> entered;
  for (int64_t t = 0; t < std::min(d_.C, items_.count / s_.N); t++) entered.push_back(like(state_));
  for (size_t chunk = entered_.size(); chunk-- > 0;) {
    const int64_t first = static_cast<int64_t>(chunk) * d_.C * s_.N;
    entered[0] = entered_[chunk];
    for (size_t t = 1; t < entered.size(); t++) {
      const int64_t before = first + static_cast<int64_t>(t - 1) * s_.N;
      if (before >= items_.count) break;
      sum(entered[t], all(entered[t]), rows(entered[t - 1]), true);
      for (int64_t value = 0; value < group_.values(); value++) move_on(entered[t], heads_of(s_.HV, value), before);
    }
    back(entered, first);
  }
  finish_states(state_, LATHE_STATE_IN);
}

void DeltaGradients::back(const std::vector<Tile>& entered, int64_t begin) {
  const int64_t tokens = std::min(d_.C, (items_.count - begin) / s_.N);
  for (int64_t t = tokens; t-- > 0;) {
    const int64_t first = begin + t * s_.N;
    const Tile& met = entered[static_cast<size_t>(t)];
    take_outputs(state_, first);
    for (int64_t value = 0; value < group_.values(); value++) {
      const Heads of = heads_of(s_.HV, value);
      read(token(keys_, all(keys_), first), state_, of, one(), token(added_, of, first));
      weigh(tile_of_token(added_, of, first), token(beta_, of, first), tile_of_token(dv_, of, first));
      turn(state_, of, turned_);
      read(token(taken_, of, first), turned_, of, one(), token(later_, of, first));
      turn(met, of, turned_);
      read(token(dv_, of, first), turned_, of, one(), token(earlier_, of, first));
      move(state_, of, token(kept_, of, first), token(taken_keys_, of, first), token(dv_, of, first));
      launcher_.call(*k_.row_dots, rows(met, of), rows(state_, of), token(gates_, of, first));
    }
  }
}

void DeltaGradients::finish_keys() {
  const Tile of_values = like(later_);
  launcher_.call(*k_.add_products, rows(later_), rows(kept_), rows(earlier_),
                 row_of_all(minus_ones_, kRows, items_.count, s_.HV), rows(of_values));
  finish(LATHE_V, dv_, items_, s_.V);
  finish_mapped(LATHE_K, of_keys(of_values), items_);
}

Tile DeltaGradients::slopes(const Tile& gradients, const Tile& x) {
  const Tile to = like(gradients);
  launcher_.call(*k_.clamped_slopes, rows(gradients), rows(x), rows(to));
  return to;
}

// Through a sigmoid, whose slope is its product with that of the other sign.
void DeltaGradients::finish_betas() {
  const Tensor& to = p_[gradient_of(LATHE_BETA)];
  if (!to.present()) return;
  Tile dbeta = rows_of_tokens(kRows, s_.HV);
  launcher_.call(*k_.row_dots, rows(added_), rows(differences_), row(dbeta));
  const Tile came = of_each_token(LATHE_BETA, items_);
  if (plan_.meaning.sigmoid()) {
    dbeta = weighed(weighed(dbeta, beta_), sigmoids(times(-1, came)));
  } else if (plan_.meaning.clamps()) {
    const Tile past = like(came), most = like(came);
    fill(most, -plan_.meaning.largest_beta());
    launcher_.call(*k_.add_rows, rows(came), rows(most), row_of_all(ones_, kRows, items_.count, s_.HV), rows(past));
    dbeta = slopes(slopes(dbeta, times(-1, came)), past);
  }
  scatter(dbeta, 0, to, of_numbers(to), items_, 1);
}

void DeltaGradients::finish_gates() {
  const Tensor& to = p_[gradient_of(LATHE_GATE)];
  if (!to.present()) return;
  if (plan_.meaning.clamps()) gates_ = slopes(gates_, came_);
  if (variant().keyed()) return scatter(gates_, 0, to, of_tokens(to), items_, s_.K);
  const Tile of_tokens = rows_of_tokens(kRows, s_.HV);
  launcher_.call(*k_.row_dots, rows(gates_),
                 DeviceBuffer(ones_.place, kFloat, {{d_.K, 1}, {kRows, 0}, {items_.count, 0}, {s_.HV, 0}}),
                 row(of_tokens));
  scatter(of_tokens, 0, to, of_numbers(to), items_, 1);
}

}  // namespace lathe
