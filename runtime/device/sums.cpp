// Sums of keys of a recurrence on a device.
#include <utility>

#include "recurrence.h"

namespace lathe {

void Recurrence::enter_sums() {
  if (!heads_are_rows_) {
    sums_ = entering_sums(), next_sums_ = tile(d_.K, kRows, s_.N, s_.HK);
    inverses_ = tile(kRows, kSpaced, s_.N, s_.HQ);
    return;
  }
  const auto place_of = [&](uint32_t role) { return in_place_.contains(role) ? in_place_.at(role) : Tile{}; };
  sums_ = place_of(LATHE_Z_IN), next_sums_ = place_of(LATHE_Z_OUT);
  if (!sums_.in_place && p_[LATHE_Z_IN].present()) sums_ = rows_of_entering_sums();
  if (!next_sums_.in_place) next_sums_ = tile(d_.K, padded_rows(s_.HK), s_.N, 1);
  inverses_ = heads_of_columns(tile(padded_rows(s_.HK), 1, s_.N, 1), s_.HK);
}

Tile Recurrence::rows_of_entering_sums() {
  const Tensor& x = p_[LATHE_Z_IN];
  if (!x.present()) return zeros(d_.K, padded_rows(s_.HK), s_.N, 1);
  return gather(x, rows_of_sums(x), of_sums_, s_.K, d_.K, s_.HK, 1);
}

// As with states: what lies where the caller has it is there when its token is over, and where there was none it is
// where it came from.
void Recurrence::save_sums(const Ends& ends) {
  const Tensor &came = p_[LATHE_Z_IN], &x = p_[LATHE_Z_OUT];
  if (!x.present()) return;
  if (!heads_are_rows_) return scatter(sums_, 0, x, of_sums(x), ends.sums, s_.K);
  if (ends.chunks > 0) {
    if (!sums_.in_place) scatter(sums_, 0, x, rows_of_sums(x), ends.sums, s_.K);
    return;
  }
  if (came.present() && came.memory == x.memory && came.data == x.data) return;
  const bool here = came.present() && !sums_.in_place;
  scatter(here ? sums_ : rows_of_entering_sums(), 0, x, rows_of_sums(x), ends.sums, s_.K);
}

void Recurrence::sums_of_heads() {
  const Tile q = rows_of_heads(q_), k = rows_of_heads(keys_);
  const int64_t N = s_.N, rows_there = padded_rows(s_.HK);
  const bool entered = p_[LATHE_Z_IN].present();
  const Tile& left = decays_.left;
  launcher_.call(
      *k_.sum_step, rows(q), rows(k),
      entered ? rows(sums_) : DeviceBuffer(no_keys_.place, kFloat, {{d_.K, 1}, {rows_there, 0}, {N, 0}, {1, 0}}),
      left.heads > 0 ? DeviceBuffer(left.place, kFloat, {{s_.HK, left.head()}, {N, left.item()}, {1, 0}})
                     : DeviceBuffer(ones_.place, kFloat, {{s_.HK, 0}, {N, 0}, {1, 0}}),
      tables_.list(rows_, rows_.rows, 1), float{plan_.meaning.eps}, at_least(), at(k, all(k)), at(q, all(q)),
      entered ? at(sums_, all(sums_)) : at(N, 1), at(next_sums_, all(next_sums_)), rows(next_sums_),
      row(rows_of_heads(inverses_)));
  std::swap(sums_, next_sums_);
}

void Recurrence::sums(int64_t first) {
  if (heads_are_rows_) return sums_of_heads();
  const Heads values = heads_of(s_.HV, 0);  // a normaliser goes with one decay for all values of its key head
  const auto keys = [&] { return rows(keys_, all(keys_), first, s_.N); };
  const auto ones = [&] { return row_of_all(ones_, kRows, s_.N, s_.HK); };
  if (variant().reads_before())
    launcher_.call(*k_.add_rows, rows(sums_), rows(own_keys_, values, first, s_.N), ones(), rows(seen_sums_));
  if (variant().keyed())
    launcher_.call(*k_.add_products, keys(), rows(kept_, values, first, s_.N), rows(sums_), ones(), rows(next_sums_));
  else
    launcher_.call(*k_.key_step, keys(), rows(sums_),
                   decays_.left.heads > 0 ? row(decays_.left, values, first, s_.N) : ones(), rows(next_sums_));
  std::swap(sums_, next_sums_);
}

}  // namespace lathe
