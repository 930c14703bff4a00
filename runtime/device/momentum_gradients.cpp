// Gradients of states that have a momentum. Forth, dQ is read of the state transposed, which moves as the state does.
// Back, R has what later queries read of the state, and n = left (n - R) what they read of its momentum: a key and its
// value have taken (R - n) of each other, and both states begin as what the caller gives.
#include "token_gradients.h"

namespace lathe {

void MomentumGradients::run() {
  begin_tokens();
  load();
  if (normalise()) sum_keys();
  g_ = over_denominators(outputs(items_, 1), inverses_);
  const Tile dq = forth();
  for (int64_t query = 0; normalise() && query < s_.HQ / s_.HK; query++)
    take_denominators(dq, q_, heads_of(s_.HQ, query), inverses_, rows(sums_, all(sums_), s_.N, items_.count), slopes_);
  back();
  finish_mapped(LATHE_Q, dq, items_);
  finish_projection();
  finish_weights();
}

// Behind what enters a token lies what leaves it.
void MomentumGradients::sum_keys() {
  sums_ = tile(d_.K, kRows, items_.count + s_.N, s_.HK);
  carry(keys_, rows(entering_sums(LATHE_Z_IN)), {}, all(keys_), sums_, all(sums_));
  inverses_ = inverses_of(q_, [&] { return rows(sums_, all(sums_), s_.N, items_.count); });
  slopes_ = numbers_of_rows(q_);
}

void MomentumGradients::load() {
  const int64_t heads = s_.HV, count = items_.count;
  const Tile decay = log_decays_of_heads();
  left_ = exponentials(decay), taken_ = numbers(LATHE_STEP_SIZE), given_ = like(taken_);
  weigh(rows(taken_), row_of_all(minus_ones_, kRows, 1, heads), rows(given_));
  // where there is no token, all of a momentum's gradient rests
  const Tile counts = tile(d_.K, kRows, count, heads);
  rests_ = like(counts), moves_ = like(counts);
  gather(Storage::kF32, {ones_.place, kFloat, {{1, 1}, {d_.K, 1}, {s_.Tq, 0}, {s_.B, 0}, {count, 0}, {heads, 0}}}, 0,
         items_, d_.K, counts);
  weigh(rows(counts), DeviceBuffer(left_.place, kFloat, {{kRows, 1}, {count, 0}, {heads, left_.head()}}), rows(moves_));
  launcher_.call(*k_.add_rows, DeviceBuffer(ones_.place, kFloat, {{d_.K, 1}, {kRows, 0}, {count, 0}, {heads, 0}}),
                 rows(counts), row_of_all(minus_ones_, kRows, count, heads), rows(rests_));
}

Tile MomentumGradients::forth() {
  Tile state = turned_states(LATHE_STATE_IN), momentum = turned_states(LATHE_MOMENTUM_IN), next = like(state),
       next_momentum = like(state);
  const Tile of_outputs = rows_of_tokens(d_.K, s_.out_heads());
  for (int64_t first = 0; first < items_.count; first += s_.N) {
    int64_t at_hand = -1;
    for (int64_t l = 0; l < group_.outputs(); l++) {
      const OutputHeads of = heads_of_output(l);
      if (group_.value_of(l) == at_hand) {
        read(token(g_, of.outputs, first), next, of.values, one(), token(of_outputs, of.outputs, first));
        continue;
      }
      at_hand = group_.value_of(l);
      const auto begin = [&] { return at(s_.N, s_.HK); };
      launcher_.call(*k_.decode_momentum, token(g_, of.outputs, first), token(v_, of.values, first),
                     token(keys_, all(keys_), first), rows(state, of.values), row_of_all(no_keys_, d_.K, s_.N, s_.HK),
                     number_again(left_, of.values, s_.N), rows(momentum, of.values),
                     number_again(taken_, of.values, s_.N), one(), begin(), begin(), begin(), begin(), begin(), begin(),
                     begin(), begin(), counted(s_.N, s_.HK), counted(s_.N, s_.HK), rows(next_momentum, of.values),
                     rows(next, of.values), token(of_outputs, of.outputs, first));
    }
    std::swap(state, next);
    std::swap(momentum, next_momentum);
  }
  return of_queries(of_outputs);
}

void MomentumGradients::back() {
  const Tile state = entering_states(gradient_of(LATHE_STATE_OUT)),
             momentum = entering_states(gradient_of(LATHE_MOMENTUM_OUT)), less = like(state),
             turned = tile(d_.K, d_.V, s_.N, s_.HV);
  const Tile dv = rows_of_tokens(d_.V, s_.HV), of_values = rows_of_tokens(d_.K, s_.HV);
  for (int64_t first = items_.count - s_.N; first >= 0; first -= s_.N) {
    take_outputs(state, first);
    for (int64_t value = 0; value < group_.values(); value++) {
      const Heads of = heads_of(s_.HV, value);
      launcher_.call(*k_.add_rows, rows(momentum, of), rows(state, of), row_of_minus_ones(d_.K), rows(less, of));
      turn(less, of, turned);
      read(token(keys_, all(keys_), first), less, of, number_again(given_, of, s_.N), token(dv, of, first));
      read(token(v_, of, first), turned, of, number_again(given_, of, s_.N), token(of_values, of, first));
      weigh(rows(momentum, of), token(rests_, of, first), rows(momentum, of));
      add(momentum, of, rows(less, of), token(moves_, of, first));
    }
  }
  finish_states(state, LATHE_STATE_IN);
  finish_states(momentum, LATHE_MOMENTUM_IN);
  finish(LATHE_V, dv, items_, s_.V);
  const Tile dk = of_keys(of_values);
  if (normalise()) add_normaliser(dk);
  finish_mapped(LATHE_K, dk, items_);
}

// Each key is in the denominators of its token and later ones.
void MomentumGradients::add_normaliser(const Tile& dk) {
  const Tile weighed = weighed_queries(q_, slopes_), sums = entering_sums(gradient_of(LATHE_Z_OUT));
  for (int64_t first = items_.count - s_.N; first >= 0; first -= s_.N) {
    add(sums, all(sums), tile_of_token(weighed, all(weighed), first), row_of_ones(kRows));
    launcher_.call(*k_.add_rows, tile_of_token(dk, all(dk), first), rows(sums), row_of_ones(kRows),
                   tile_of_token(dk, all(dk), first));
  }
  if (const Tensor& x = p_[gradient_of(LATHE_Z_IN)]; x.present()) scatter(sums, 0, x, of_sums(x), of_sums_, s_.K);
}

}  // namespace lathe
