#include "keyed_chunks.h"

#include <limits>

namespace lathe {

Tile KeyedChunks::at_most_zero(const Tile& gates) {
  return plan_.meaning.clamps() ? clamped(gates, -std::numeric_limits<float>::infinity(), 0) : gates;
}

KeyedChunks::Gates KeyedChunks::sums_of(const Tile& gates) {
  const auto rows_and_one = [&] { return tile(d_.K, gates.rows + kRows, gates.items, s_.HV); };
  const auto numbers_of_keys = [&] { return tile(d_.K, kSpaced, gates.items, s_.HV); };
  const Gates to{gates, rows_and_one(), rows_and_one(), numbers_of_keys(), numbers_of_keys()};
  launcher_.call(*k_.gate_sums, rows(gates), sums(to.rest, all(to.rest)), sums(to.whole, all(to.whole)), row(to.left),
                 row(to.rise));
  return to;
}

void KeyedChunks::enter_bonus() {
  if (!lags()) return;
  const Tensor& x = p_[LATHE_BONUS];
  bonus_ = gather(x, {dimension(x, 1), {1, 0}, {1, 0}, dimension(x, 0)}, once_, s_.K, d_.K, 1, s_.HV);
}

KeyedChunks::Keys KeyedChunks::ready(const Tile& k, const Heads& of_k, const Gates& gates, const Heads& of) {
  const auto another = [&] { return tile(d_.K, k.rows, k.items, of.count); };
  const Keys to{another(), another()};
  launcher_.call(*k_.gate_keys, rows(k, of_k), sums(gates.whole, of), sums(gates.rest, of), rows(to.down),
                 rows(to.kept));
  return to;
}

void KeyedChunks::carry_keys(DeviceBuffer&& added, DeviceBuffer&& first, const Gates& gates, const Heads& of,
                             DeviceBuffer&& to) {
  const Tile& left = gates.left;
  launcher_.call(
      *k_.carry, added,
      DeviceBuffer(
          part(left, of, 0), kFloat,
          {{d_.K, 1}, {left.items / s_.N, s_.N * left.item()}, {s_.N, left.item()}, {of.count, left.head() * of.step}}),
      first, to);
}

void KeyedChunks::scan_keys(const Keys& k, const Tile& v, const Heads& of_v, DeviceBuffer&& first, const Gates& gates,
                            const Heads& of, const Tile& to, const Heads& of_to) {
  const int64_t items = k.kept.items;
  const Tile added = tile(d_.V, d_.K, items, s_.HK);
  launcher_.call(*k_.state, rows(k.kept), rows(v, of_v), rows_of_all(zeros_, d_.V, items, s_.HK),
                 row(gates.left, of, 0, items), row(gates.rise, of, 0, items), at(items, s_.HK), at(v, of_v),
                 counted({&v}, of_v), rows(added));
  carry_keys(by_chunks(added, s_.N), std::move(first), gates, of, by_chunks(rows(to, of_to)));
}

void KeyedChunks::attend_by_keys(const Part& q, DeviceBuffer&& k, const Keys& keys, const Part& v, const Part& h,
                                 const Gates& gates, const Heads& of, const Items& past_first_row, const Part& o) {
  const int64_t items = q.tile.items;
  const auto another = [&](int64_t columns, int64_t rows) { return tile(columns, rows, items, s_.HK); };
  const int32_t block = k_.causal->row_grain;
  const Tile entering = another(d_.K, d_.C), near = another(d_.K, d_.C), up = another(d_.K, d_.C),
             pairs = another(block, d_.C);
  launcher_.call(*k_.gate_queries, rows(q.tile, q.heads), sums(gates.whole, of), sums(gates.rest, of), int32_t{lag()},
                 int32_t{block}, rows(entering), rows(near), rows(up));
  launcher_.call(*k_.gate_pairs, rows(up), rows(keys.down), sums(gates.whole, of), rows(q.tile, q.heads), k,
                 bonus(of, items), int32_t{lag()}, int32_t{block}, rows(pairs));
  const Tile &whole = gates.whole, after = another(d_.K, d_.C), columns = another(d_.C, d_.K);
  gather(
      Storage::kF32,
      {part(whole, of, 0),
       kFloat,
       {{1, 1}, {d_.K, 1}, {whole.rows, d_.K}, {items, whole.item()}, {items, 0}, {of.count, whole.head() * of.step}}},
      0, past_first_row, d_.K, after);
  launcher_.call(*k_.transpose, rows(after), at(after, all(after)), counted({&after}, all(after)), rows(columns));
  launcher_.call(
      *k_.causal, rows(entering), rows(keys.down), rows(v.tile, v.heads), rows(h.tile, h.heads, 0, items), rows(near),
      rows(columns),
      DeviceBuffer(
          part(whole, of, 0), kFloat,
          {{d_.K, 1}, {d_.C / block, d_.K * block}, {items, whole.item()}, {of.count, whole.head() * of.step}}),
      rows(pairs), at(items, s_.HK), at(items, s_.HK), at(v.tile, v.heads), at(o.tile, o.heads),
      written(o.tile, o.heads), counted({&v.tile, &o.tile}, v.heads), rows(o.tile, o.heads));
}

}  // namespace lathe
