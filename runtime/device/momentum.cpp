// A recurrence whose states have a momentum.
#include "recurrence.h"

namespace lathe {

void Recurrence::load_momentum() {
  const int64_t heads = s_.state_heads();
  step_size_ = numbers(LATHE_STEP_SIZE);
  if (!variant().adapts()) {
    left_of_it_ = exponentials(log_decays_of_heads());
    return;
  }
  // the key and, behind it, the value: one row of each head
  const auto last = [&](int32_t begin, int64_t width, int64_t columns) {
    const Tensor& x = p_[LATHE_LAST_TOKEN_IN];
    if (!x.present()) return zeros(columns, kRows, s_.N, heads);
    return gather(x, of_sums(x), from(x) + begin, of_sums_, width, columns, kRows, heads);
  };
  last_key_ = last(0, s_.K, d_.K), last_value_ = last(static_cast<int32_t>(s_.K), s_.V, d_.V);
  apart_ = tile(d_.K, kSpaced, s_.N, heads), length_ = tile(d_.K, kSpaced, s_.N, heads);
  left_of_it_ = tile(kRows, kSpaced, s_.N, heads), taken_ = tile(kRows, kSpaced, s_.N, heads);
}

void Recurrence::save_momentum(const Ends& ends, int64_t tokens) {
  save(momentum_, ends);
  const Tensor& x = p_[LATHE_LAST_TOKEN_OUT];
  if (!x.present()) return;
  const Shape shape = of_sums(x);
  const auto values_begin = from(x) + static_cast<int32_t>(s_.K);
  if (tokens == 0) {
    scatter(last_key_, 0, x, shape, ends.sums, s_.K);
    scatter(last_value_, 0, x, shape, values_begin, ends.sums, s_.V);
    return;
  }
  const int64_t last = (tokens - 1) * s_.N;
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads heads = heads_of(s_.HV, value);
    const Shape of_these{shape.column, shape.row, shape.batch, {s_.HK, heads.step * shape.head.stride}};
    scatter(keys_, last, x, of_these, from(x) + static_cast<int32_t>(heads.first * shape.head.stride), ends.sums, s_.K);
  }
  scatter(v_, last, x, shape, values_begin, ends.sums, s_.V);
}

void Recurrence::adapt(const OutputHeads& of, int64_t first) {
  const int64_t before = first - s_.N;
  const auto find = [&](auto&& last_key, auto&& last_value) {
    launcher_.call(*k_.adaptive_rows, k(first), last_key, v(of, first), last_value, rows(momentum_.now, of.values),
                   static_cast<int32_t>(s_.K), static_cast<int32_t>(s_.V), row(apart_, of.values, 0, s_.N),
                   row(length_, of.values, 0, s_.N));
  };
  if (first == 0)
    find(row(last_key_, of.values, 0, s_.N), row(last_value_, of.values, 0, s_.N));
  else
    find(k(before), v(of, before));
  launcher_.call(*k_.adaptive_moved, row(apart_, of.values, 0, s_.N), row(length_, of.values, 0, s_.N),
                 number_again(step_size_, of.values, s_.N), row(left_of_it_, of.values, 0, s_.N),
                 row(taken_, of.values, 0, s_.N));
}

void Recurrence::move_by_momentum(const OutputHeads& of, int64_t first) {
  const bool adapts = variant().adapts();
  if (adapts) adapt(of, first);
  const auto by = [&](const Tile& each, const Tile& of_all) {
    return adapts ? number(each, of.values, 0, s_.N) : number_again(of_all, of.values, s_.N);
  };
  const auto begin = [&] { return at(s_.N, of.values.count); };
  launcher_.call(*k_.decode_momentum, q(of, first), k(first), v(of, first), rows(state_.now, of.values), none(),
                 by(left_of_it_, left_of_it_), rows(momentum_.now, of.values), by(taken_, step_size_), inverse(of),
                 at(state_.now, of.values), begin(), at(momentum_.now, of.values), begin(), begin(),
                 at(momentum_.next, of.values), at(state_.next, of.values), begin(), written(of), present(of),
                 rows(momentum_.next, of.values), rows(state_.next, of.values), o(of, first));
}

}  // namespace lathe
