// The states that enter the chunks of sequences.
#include "tiles.h"

namespace lathe {

// A walk makes a block for each tile of a sequence's state, and needs so many that they fill a GPU: by the model of
// docs/gpu.md those of 8 sequences with 16 heads and 64 by 64 numbers do. A few chunks take no longer than the launches
// that are saved.
bool Tiles::walks(const Tile& to) const {
  constexpr int64_t enough = int64_t{8} * 16 * 64 * 64, few_chunks = 3;
  return to.items <= (few_chunks + 1) * s_.N || s_.N * s_.HK * to.item() >= enough;
}

void Tiles::scan_states(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first,
                        const Decays& decays, const Heads& of, const Tile& to, const Heads& of_to) {
  if (walks(to)) {
    with_sums(decays, of, [&](auto&... b) {
      launcher_.call(*k_.states, by_chunks(rows(k, of_k)), by_chunks(rows(v, of_v)), first, by_chunks(b)...,
                     by_chunks(at(k, of_k)), by_chunks(at(v, of_v)), by_chunks(counted({&k, &v}, of_v)),
                     by_chunks(rows(to, of_to)));
    });
    return;
  }
  const Tile added = tile(v.columns, k.columns, k.items, s_.HK);
  DeviceBuffer nothing{
      zeros_.place, kFloat, {{added.columns, 1}, {added.rows, added.columns}, {added.items, 0}, {added.heads, 0}}};
  with_sums(decays, of, [&](auto&... b) {
    launcher_.call(*k_.state, rows(k, of_k), rows(v, of_v), nothing, b..., at(k, of_k), at(v, of_v),
                   counted({&k, &v}, of_v), rows(added));
  });
  carry(added, std::move(first), decays, of, to, of_to);
}

}  // namespace lathe
