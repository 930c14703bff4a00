#include "keyed_chunks.h"

#include <utility>

namespace lathe {

KeyedChunks::Gates KeyedChunks::sums_of(const Tile& gates) {
  const auto rows_and_one = [&] { return tile(d_.K, gates.rows + kRows, gates.items, s_.HV); };
  const auto numbers_of_keys = [&] { return tile(d_.K, kSpaced, gates.items, s_.HV); };
  const Gates to{gates, rows_and_one(), rows_and_one(), numbers_of_keys(), numbers_of_keys()};
  launcher_.call(*k_.gate_sums, rows(gates), sums(to.rest, all(to.rest)), sums(to.whole, all(to.whole)), row(to.left),
                 row(to.rise));
  return to;
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

KeyedChunks::Queries KeyedChunks::meet(const Part& q, DeviceBuffer&& k, const Keys& keys, const Gates& gates,
                                       const Heads& of, int32_t block) {
  const int64_t items = q.tile.items;
  const auto another = [&](int64_t columns) { return tile(columns, d_.C, items, s_.HK); };
  const Queries to{another(d_.K), another(d_.K), another(block)};
  const Tile up = another(d_.K);
  launcher_.call(*k_.gate_queries, rows(q.tile, q.heads), sums(gates.whole, of), sums(gates.rest, of), int32_t{lag()},
                 int32_t{block}, rows(to.entering), rows(to.near), rows(up));
  launcher_.call(*k_.gate_pairs, rows(up), rows(keys.down), sums(gates.whole, of), rows(q.tile, q.heads), k,
                 bonus(of, items), int32_t{lag()}, int32_t{block}, rows(to.pairs));
  return to;
}

Tile KeyedChunks::sums_after(const Gates& gates, const Heads& of) {
  const Tile &t = gates.whole, after = tile(d_.K, d_.C, t.items, of.count);
  gather(Storage::kF32,
         {part(t, of, 0),
          kFloat,
          {{1, 1}, {d_.K, 1}, {t.rows, d_.K}, {t.items, t.item()}, {t.items, 0}, {of.count, t.head() * of.step}}},
         0, past_first_row_, d_.K, after);
  return turned(after);
}

Tile KeyedChunks::turned(const Tile& x) {
  const Tile to = tile(x.rows, x.columns, x.items, x.heads);
  transpose(x, to);
  return to;
}

void KeyedChunks::attend_by_keys(const Part& q, DeviceBuffer&& k, const Keys& keys, const Part& v, const Part& h,
                                 const Gates& gates, const Heads& of, const Part& o) {
  const int64_t items = q.tile.items;
  const int32_t block = k_.causal->row_grain;
  const Queries met = meet(q, std::move(k), keys, gates, of, block);
  const Tile after = sums_after(gates, of);
  launcher_.call(*k_.causal, rows(met.entering), rows(keys.down), rows(v.tile, v.heads),
                 rows(h.tile, h.heads, 0, items), rows(met.near), rows(after), sums_before(gates, of, block),
                 rows(met.pairs), at(items, s_.HK), at(items, s_.HK), at(v.tile, v.heads), at(o.tile, o.heads),
                 written(o.tile, o.heads), counted({&v.tile, &o.tile}, v.heads), rows(o.tile, o.heads));
}

}  // namespace lathe
