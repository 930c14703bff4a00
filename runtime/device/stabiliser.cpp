// The running maximum of keys that a map subtracts, which moves on with their tokens.
#include <limits>

#include "tiles.h"

namespace lathe {

void Tiles::map_stabilised(const Tile& raw, const Items& items, const Mapped& to) {
  const Tile lowest = tile(kRows, 1, 1, 1);
  fill(lowest, std::numeric_limits<float>::lowest());
  map(LATHE_K, raw, items, Subtract::kSoFar, number_of_all(lowest, items.count, s_.HK), to);
  maxima_ = {to.peaks, tile(kRows, kSpaced, items.count + s_.N, s_.HK)};
  const Tile &entering = entering_maxima(), &before = maxima_.before;
  launcher_.call(*k_.running_peaks, by_chunks(row(to.peaks)), number(entering, all(entering), 0, s_.N),
                 by_chunks(row(before)));
  map(LATHE_K, raw, items, Subtract::kSoFar, number(before, all(before), 0, items.count), to);
}

const Tile& Tiles::entering_maxima() {
  if (entering_maxima_.heads > 0) return entering_maxima_;
  const Tensor& x = p_[LATHE_STABILISER];
  if (x.present()) {
    entering_maxima_ = gather(x, {{1, 0}, {1, 0}, dimension(x, 0), dimension(x, 1)}, of_sums_, 1, kRows, kRows, s_.HK);
  } else {
    entering_maxima_ = tile(kRows, kRows, s_.N, s_.HK);
    fill(entering_maxima_, -std::numeric_limits<float>::infinity());
  }
  return entering_maxima_;
}

Tile Tiles::entered(const Tile& x) {
  if (!p_[LATHE_STABILISER].present()) return x;
  const Tile &entering = entering_maxima(), to = tile(x.columns, x.rows, x.items, x.heads);
  for (int64_t l = 0; l < x.heads / s_.HK; l++) {
    const Heads heads = heads_of(x.heads, l);
    launcher_.call(*k_.entered_rows, rows(x, heads), number(entering, all(entering), 0, s_.N), rows(to, heads));
  }
  return to;
}

Tiles::Decays Tiles::with_rises(const Decays& decays) {
  if (!plan_.meaning.stabilise() || plan_.meaning.variant->keyed()) return decays;
  const auto& [peaks, before] = maxima_;
  Decays made = room_for_decays(peaks.items);
  made.steps = decays.steps;
  const Tile none = zeros(d_.C, 2, 1, 1);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    launcher_.call(*k_.peak_sums,
                   decays.sums.heads > 0 ? rows(decays.sums, of) : rows_of_all(none, d_.C, peaks.items, s_.HK),
                   row(peaks), number(before, all(before), 0, peaks.items), rows(made.sums, of),
                   row(made.left, of, 0, peaks.items));
  }
  return made;
}

Tile Tiles::with_rises(const Tile& gates) {
  if (!plan_.meaning.stabilise()) return gates;
  const auto& [peaks, before] = maxima_;
  const Tile to = tile(gates.columns, gates.rows, gates.items, gates.heads);
  for (int64_t value = 0; value < group_.values(); value++) {
    const Heads of = heads_of(s_.HV, value);
    launcher_.call(*k_.peak_rows, rows(gates, of), row(peaks), number(before, all(before), 0, peaks.items),
                   rows(to, of));
  }
  return to;
}

void Tiles::save_maxima(const Ends& ends, int64_t first) {
  const Tensor& x = p_[LATHE_STABILISER];
  if (!x.present() || ends.chunks == 0) return;
  scatter(maxima_.before, first, x, {{1, 0}, {1, 0}, dimension(x, 0), dimension(x, 1)}, ends.sums, 1);
}

}  // namespace lathe
