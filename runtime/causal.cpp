// The causal scan: chunks outside, heads inside, the states of all heads of a unit kept at hand.
#include "causal.h"

#include "ahead.h"
#include "chunk.h"
#include "run.h"
#include "token_tiles.h"
#include "walk.h"

namespace lathe {

namespace {

void walk_head(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns, bool outputs, const Step& now,
               const Step& next) {
  const Plan& plan = w.plan();
  const Sizes& sizes = w.problem().sizes;
  const Group group{sizes, plan.meaning.tiled()};
  const Chunk chunk(w, s, columns);
  const size_t carried = static_cast<size_t>(now.head);
  const int64_t key_head = unit.head + now.head;

  MappedQueries queries(w, s, now);
  Ahead ahead = Ahead::of_scan(w, s, next, unit.head + next.head, outputs);
  ChunkTiles tiles{};
  const float before = w.peak(carried);
  tiles.k = chunk.keys(now, key_head, w.peak(carried));
  if ((outputs || plan.meaning.variant->corrects()) && !plan.meaning.variant->keyed()) w.transpose(tiles.k, w.kt());
  for (int64_t value = 0; value < group.values(); value++) {
    const int64_t value_head = group.head(sizes.HV, key_head, value);
    tiles.v = chunk.values(now, value_head);
    chunk.decay(now, value_head, before, tiles);
    float* state = w.state(carried, value);
    tiles.v = chunk.taken(now, value_head, tiles, state);
    for (int64_t l = 0; outputs && l < group.outputs(); l++) {
      if (group.value_of(l) != value) continue;
      const int64_t query_head = group.head(sizes.HQ, key_head, group.query_of(l));
      chunk.outputs(now, queries.of(query_head), tiles, state, w.z(carried),
                    group.head(sizes.out_heads(), key_head, l));
    }
    chunk.advance(tiles, state, [&](int64_t part, int64_t parts) { ahead.ask(part, parts); });
  }
  if (plan.meaning.normalise()) chunk.advance_z(tiles, w.z(carried));
}

}  // namespace

void walk(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns, const Stretch& stretch) {
  walk_chunks(stretch.first, stretch.end, w.plan().padded.C, unit.heads, [&](const Step& now, const Step& next) {
    if (w.plan().kernels.recurrence)
      recur(w, s, unit, columns, stretch.outputs, now, next);
    else
      walk_head(w, s, unit, columns, stretch.outputs, now, next);
  });
}

void run_causal(Worker& w, const Unit& unit) {
  const Sequence s = sequence(w.problem(), unit.sequence);
  w.zero_outputs(s, unit);
  if (s.queries > 0 && s.queries <= kDecodeTokens) return decode_sequence(w, s, unit.head, unit.heads);
  if (w.plan().meaning.variant->adapts()) return walk_tokens(w, s, unit);
  w.load(s, unit);
  walk(w, s, unit, {0, w.plan().padded.V}, {0, s.queries, true});
  w.save(s, unit);
}

}  // namespace lathe
