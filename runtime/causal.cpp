// The causal scan: chunks outside, heads inside, the states of all heads of a unit kept at hand.
#include "chunk.h"
#include "run.h"

namespace lathe {

namespace {

// Sequences of one token take the recurrence itself: a chunk would cost as much as a full one.
constexpr int64_t kDecodeTokens = 1;

void walk_head(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns, const Step& now,
               const Step& next) {
  const Plan& plan = w.plan();
  const Sizes& sizes = w.problem().sizes;
  const Group group{sizes, plan.meaning.tiled()};
  const Chunk chunk(w, s, columns);
  const size_t carried = static_cast<size_t>(now.head);
  const int64_t key_head = unit.head + now.head;

  Worker::Rows queries{};
  ChunkTiles tiles{{}, w.kt(), w.gate(), {}};
  const float before = w.peak(carried);
  tiles.k = chunk.keys(now, key_head, w.k(), w.peak(carried));
  w.transpose(tiles.k, tiles.kt);
  int64_t mapped = -1;
  for (int64_t value = 0; value < group.values(); value++) {
    const int64_t value_head = group.head(sizes.HV, key_head, value);
    tiles.v = w.values(s, now.t, now.rows, value_head, w.v());
    chunk.fill_gate(value_head, now.rows, before, tiles.gate);
    float* state = w.state(carried, value);
    for (int64_t l = 0; l < group.outputs(); l++) {
      if (group.value_of(l) != value) continue;
      const int64_t query_head = group.head(sizes.HQ, key_head, group.query_of(l));
      if (query_head != mapped) queries = w.map_rows(LATHE_Q, now, s, query_head, 0, w.q());
      mapped = query_head;
      chunk.outputs(now, queries, tiles, state, w.z(carried), group.head(sizes.out_heads(), key_head, l));
    }
    chunk.advance(tiles, state, state, [&](int64_t part, int64_t parts) {
      if (value > 0) return;
      for (uint32_t role : {LATHE_K, LATHE_V, LATHE_Q}) w.prefetch(role, s, next, unit.head + next.head, part, parts);
    });
  }
  if (plan.meaning.normalise()) chunk.advance_z(tiles, w.z(carried), w.z(carried));
}

void walk(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns) {
  w.load(s, unit);
  walk_chunks(s.queries, w.plan().padded.C, unit.heads,
              [&](const Step& now, const Step& next) { walk_head(w, s, unit, columns, now, next); });
}

}  // namespace

void run_causal(Worker& w, const Unit& unit) {
  const Sequence s = sequence(w.problem(), unit.sequence);
  w.zero_outputs(s, unit);
  if (s.queries > 0 && s.queries <= kDecodeTokens) return decode_sequence(w, s, unit.head, unit.heads);
  walk(w, s, unit, {0, w.plan().padded.V});
  w.save(s, unit);
}

bool wants_columns(const Plan& plan, const Problem& p, int64_t units) {
  return plan.meaning.op->op == Op::kCausal && units < plan.threads &&
         plan.padded.V / plan.padded.V_grain >= plan.threads && p.sizes.Tq >= 8 * plan.padded.C;
}

void run_columns(std::vector<Worker>& workers, const Parallel& parallel) {
  const Padded& d = workers[0].plan().padded;
  const Sizes& sizes = workers[0].problem().sizes;
  const auto n = static_cast<int64_t>(workers.size()), grains = d.V / d.V_grain;
  const auto columns_of = [&](int64_t slot) {
    const int64_t first = grains * slot / n, end = grains * (slot + 1) / n;
    return Columns{first * d.V_grain, (end - first) * d.V_grain};
  };
  for (int64_t i = 0; i < sizes.N * sizes.HK; i++) {
    const Unit unit{i / sizes.HK, i % sizes.HK, 1};
    const Sequence s = sequence(workers[0].problem(), unit.sequence);
    if (s.queries <= kDecodeTokens) {
      run_causal(workers[0], unit);
      continue;
    }
    workers[0].zero_outputs(s, unit);
    const auto work = [&](int slot) { walk(workers[static_cast<size_t>(slot)], s, unit, columns_of(slot)); };
    parallel(static_cast<int>(n), std::ref(work));
    // only now: a state that is updated in place was read by every worker
    for (int64_t slot = 0; slot < n; slot++) workers[static_cast<size_t>(slot)].save(s, unit, columns_of(slot));
  }
}

}  // namespace lathe
