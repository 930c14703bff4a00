#include "recurrence.h"

#include <utility>

namespace lathe {

void Recurrence::run() {
  items_ = tables_.chunks(p_, LATHE_Q, 1);
  heads_are_rows_ = takes_heads_as_rows();
  const int64_t rows = heads_are_rows_ ? s_.HK : 1;
  rows_ = heads_are_rows_ ? tables_.heads(p_, rows) : items_;
  heads_ = tables_.alone(rows);
  plan_tables(LATHE_Q, 1, rows);
  if (p_[LATHE_SNAPSHOTS].present()) snapshots_ = tables_.after_tokens(p_, s_.K);
  take_in_place();
  begin(kRows);
  q_ = of_heads(mapped(LATHE_Q, rows_, rows)), keys_ = of_heads(mapped(LATHE_K, rows_, rows));
  const Tile as_came = v_ = of_heads(values(rows_, rows));
  o_ = of_heads(place_of_outputs(rows_, padded_rows(rows)));
  enter(state_);
  if (variant().moves()) enter(momentum_);
  if (normalise()) enter_sums();
  load();
  save(0);
  for (int64_t first = 0; first < items_.count; first += s_.N) {
    if (normalise()) sums(first);
    const bool last = first + s_.N == items_.count;
    make_room(state_, last);
    if (variant().moves()) make_room(momentum_, last);
    outputs(first);
    pass_on(state_), pass_on(momentum_);
    hand_on(first);
    save(first / s_.N + 1);
  }
  if (o_.in_place) return;
  const Tensor& x = p_[LATHE_O];
  const Tile made = finished(o_, as_came, items_);
  scatter(heads_are_rows_ ? rows_of_heads(made) : made, 0, x, of_tokens(x, rows_), rows_, s_.V);
}

bool Recurrence::takes_heads_as_rows() const {
  const Variant& v = variant();
  return once() && s_.HQ == s_.HK && s_.HV == s_.HK && p_[LATHE_PROJECTION].rank != 3 && !p_.mixes() && !v.moves() &&
         !v.steps() && !(v.keyed() && normalise()) && !plan_.meaning.stabilise();
}

void Recurrence::take_in_place() {
  const Variant& v = variant();
  if (v.reads_before() && !heads_are_rows_) return;
  for (const Moved* state : {&state_, &momentum_})
    if (state == &state_ || !v.adapts())
      for (const uint32_t role : {state->in, state->out})
        // snapshots are made of tiles, and so is what enters under a maximum
        if (!p_[role == LATHE_STATE_OUT ? LATHE_SNAPSHOTS : LATHE_STABILISER].present()) take_states_in_place(role);
  if (once() && !v.moves()) take_rows_in_place(rows_, heads_are_rows_ ? s_.HK : kRows, heads_are_rows_);
  if (!heads_are_rows_) return;
  for (const uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) take_sums_in_place(role);
  for (const uint32_t role : {LATHE_GATE, LATHE_A, LATHE_B})
    if (s_.K == d_.K && (role != LATHE_GATE || !plan_.meaning.clamps())) Tiles::take_in_place(role, rows_, s_.HK);
}

void Recurrence::enter(Moved& state) {
  state.now = in_place_.contains(state.in) ? in_place_.at(state.in) : entering_states(state.in);
}

// Where the caller wants it with the last token of all sequences: one that is over before may not be told, and goes on.
void Recurrence::make_room(Moved& state, bool last) {
  if (last && (once() || ends_.size() == 1) && in_place_.contains(state.out))
    state.next = in_place_.at(state.out);
  else
    state.next = state.spare.heads > 0 ? state.spare : tile(d_.V, d_.K, s_.N, s_.state_heads());
}

void Recurrence::pass_on(Moved& state) {
  state.spare = state.now.in_place ? Tile{} : state.now;
  state.now = state.next;
}

void Recurrence::save(int64_t tokens) {
  for (const Ends& ends : ends_)
    if (ends.chunks == tokens) {
      save(state_, ends);
      save_sums(ends);
      save_maxima(ends, tokens * s_.N);
      if (variant().moves()) save_momentum(ends, tokens);
    }
}

// One that lies where the caller has it is there already when its tokens are over. Without any it is where it came
// from.
void Recurrence::save(Moved& state, const Ends& ends) {
  const Tensor &came = p_[state.in], &x = p_[state.out];
  if (!x.present()) return;
  if (!state.now.in_place) return scatter(state.now, 0, x, of_states(x), ends.states, s_.V);
  if (ends.chunks > 0 || (came.memory == x.memory && came.data == x.data)) return;
  state.spare = gather(came, of_states(came), ends.states, s_.V, d_.V, d_.K, s_.state_heads());
  scatter(state.spare, 0, x, of_states(x), ends.states, s_.V);
}

// Sequences are where their first tokens are, and so one list of those serves all tokens.
void Recurrence::hand_on(int64_t first) {
  const Tensor& x = p_[LATHE_SNAPSHOTS];
  if (!x.present()) return;
  const auto token = first / s_.N;
  scatter(state_.now, 0, x, {dimension(x, 4), dimension(x, 3), batch_of(x), dimension(x, 2)},
          from(x) + static_cast<int32_t>(token * x.stride[1]), snapshots_[static_cast<size_t>(token)], s_.V);
}

// What variants have besides, of all tokens.
void Recurrence::load() {
  decays_ = heads_are_rows_ ? decays_of_heads(rows_) : with_rises(decays(items_));
  if (variant().steps()) v_ = weighed(v_, decays_.steps);
  if (variant().keyed()) {
    kept_ = of_heads(exponentials(with_rises(at_most_zero(of_each_key(LATHE_GATE, rows_)))));
  }
  if (variant().rank_one()) a_ = of_heads(of_each_key(LATHE_A, rows_)), b_ = of_heads(of_each_key(LATHE_B, rows_));
  if (variant().corrects()) {
    beta_ = betas(rows_);
    if (heads_are_rows_) beta_ = heads_of_columns(beta_, s_.HK);
  }
  if (variant().reads_before()) heads_are_rows_ ? load_bonus() : load_own();
  if (variant().moves()) load_momentum();
}

void Recurrence::load_bonus() {
  const Tensor& x = p_[LATHE_BONUS];
  bonus_ = gather(x, {dimension(x, 1), dimension(x, 0), {1, 0}, {1, 0}}, heads_, s_.K, d_.K, s_.HK, 1);
}

// What a token itself counts for, by its bonus: its keys to a sum of keys, and its values to each query.
void Recurrence::load_own() {
  const int64_t count = items_.count;
  const Tile bonus = bonuses();
  own_keys_ = tile(d_.K, kRows, count, s_.state_heads()), own_ = tile(d_.V, kRows, count, s_.out_heads());
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads heads = heads_of(s_.HV, value);
    launcher_.call(*k_.add_products, rows_of_all(no_keys_, d_.K, count, s_.HK), rows_again(bonus, heads, count),
                   rows(keys_), row_of_all(ones_, kRows, count, s_.HK), rows(own_keys_, heads));
  }
  const Tile weights = met(own_keys_);
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    launcher_.call(*k_.weigh_rows, rows(v_, of.values), row(weights, of.outputs, 0, count), rows(own_, of.outputs));
  }
  if (normalise()) seen_sums_ = tile(d_.K, kRows, s_.N, s_.HK);
}

Tile Recurrence::met(const Tile& keys) {
  const Tile to = tile(kRows, kSpaced, items_.count, s_.out_heads());
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    launcher_.call(*k_.row_dots, rows(q_, of.queries), rows(keys, keys.heads == s_.HK ? all(keys) : of.values),
                   row(to, of.outputs, 0, items_.count));
  }
  return to;
}

void Recurrence::outputs(int64_t first) {
  int64_t at_hand = -1;
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const int64_t value = group_.value_of(l);
    const OutputHeads of = heads_of_output(l);
    const Tile& seen = variant().reads_before() ? seen_sums_ : sums_;
    if (normalise() && !heads_are_rows_)
      denominators(rows(q_, of.queries, first, s_.N), row_again(seen, all(seen), kRows, 0, s_.N),
                   row(inverses_, of.queries, 0, s_.N));
    if (variant().reads_before() && !heads_are_rows_)
      read_before(of, first, value != at_hand);
    else if (value != at_hand)
      move_on(of, first);
    else
      launcher_.call(*k_.recall, q(of, first), rows(state_.next, of.values), inverse(of), at(state_.next, of.values),
                     at(q_, of.queries), at(o_, of.outputs), written(of), present(of), o(of, first));
    at_hand = value;
  }
}

void Recurrence::read_before(const OutputHeads& of, int64_t first, bool moves_on) {
  launcher_.call(*k_.recall_more, q(of, first), rows(state_.now, of.values), row(own_, of.outputs, first, s_.N),
                 inverse(of), o(of, first));
  if (moves_on)
    launcher_.call(*k_.update_keys, left(of.values, first), k(first), v(of, first), rows(state_.now, of.values),
                   rows(state_.next, of.values));
}

void Recurrence::move_on(const OutputHeads& of, int64_t first) {
  const Variant& variant = this->variant();
  if (variant.moves()) return move_by_momentum(of, first);
  const auto step = [&](const Entry& entry, auto&&... own) {
    launcher_.call(entry, q(of, first), k(first), v(of, first), rows(state_.now, of.values), own...,
                   at(state_.now, of.values), at(keys_, all(keys_)), at(q_, of.queries), at(v_, of.values),
                   at(state_.next, of.values), at(o_, of.outputs), written(of), present(of),
                   rows(state_.next, of.values), o(of, first));
  };
  if (variant.corrects())
    step(*k_.decode_delta, left(of.values, first), number(beta_, of.values, first, s_.N));
  else if (variant.rank_one())
    step(*k_.decode_rank_one, left(of.values, first), row(a_, of.values, first, s_.N), row(b_, of.values, first, s_.N),
         at(a_, of.values), at(b_, of.values));
  else if (variant.reads_before())
    step(*k_.decode_before, left(of.values, first), bonus(of.values));
  else
    step(variant.keyed() ? *k_.decode_keys : *k_.decode, none(), left(of.values, first), inverse(of));
}

}  // namespace lathe
