// Non-causal attention in its two halves: sums over keys, then a readout for each query. Either half alone is
// "accumulate" and "readout".
#include "ahead.h"
#include "chunk.h"
#include "run.h"

namespace lathe {

namespace {

struct Halves {
  Worker& w;
  const Unit& unit;
  const Sequence s;
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Padded& d = plan.padded;
  const Group group{p.sizes, plan.meaning.tiled()};

  void accumulate(const Step& now, const Step& next) const {
    const size_t carried = static_cast<size_t>(now.head);
    const int64_t key_head = unit.head + now.head;
    const Chunk chunk(w, s);
    ChunkTiles tiles{};
    const float before = w.peak(carried);
    tiles.k = chunk.keys(now, key_head, w.peak(carried));
    chunk.decay(now, key_head, before, tiles);
    Ahead ahead(w, s, next, unit.head + next.head, {LATHE_K, LATHE_V});
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(p.sizes.HV, key_head, value);
      tiles.v = w.values(s, now.t, now.rows, head, w.v());
      chunk.advance(tiles, w.state(carried, value), [&](int64_t part, int64_t parts) { ahead.ask(part, parts); });
    }
    if (plan.meaning.normalise()) chunk.advance_z(tiles, w.z(carried));
  }

  void read_out(const Step& now, const Step& next) const {
    const size_t carried = static_cast<size_t>(now.head);
    const int64_t key_head = unit.head + now.head;
    const Tensor& o = p[LATHE_O];
    Worker::Rows queries{};
    Ahead ahead(w, s, next, unit.head + next.head, {LATHE_Q, LATHE_O});
    int64_t mapped = -1;
    for (int64_t l = 0; l < group.outputs(); l++) {
      const int64_t query_head = group.head(p.sizes.HQ, key_head, group.query_of(l));
      if (query_head != mapped) {
        queries = w.map_rows(LATHE_Q, now, s, query_head, 0, w.q());
        if (plan.meaning.normalise()) w.denominators(queries, {w.z(carried), 0}, d.K, d.C, w.inv());
        mapped = query_head;
      }
      char* to = o.at(s.batch, s.first + now.t, group.head(p.sizes.out_heads(), key_head, l));
      int64_t stride;
      float* rows_out = w.output_rows(to, now.rows, stride);
      Buffer h(w.state(carried, group.value_of(l)), d.V, d.K, d.V);
      const int64_t rows = plan.kernels.readout->row_grain, parts = d.C / rows;
      for (int64_t part = 0; part < parts; part++) {
        ahead.ask(part, parts);
        Buffer q(queries.data + part * rows * queries.stride, d.K, rows, queries.stride),
            inv(w.inv() + part * rows, rows);
        Buffer out(rows_out + part * rows * stride, d.V, rows, stride);
        call(*plan.kernels.readout, q, h, inv, out);
      }
      w.store(rows_out, stride, to, o.stride[1], now.rows);
    }
  }
};

}  // namespace

void run_noncausal(Worker& w, const Unit& unit) {
  const Halves halves{w, unit, sequence(w.problem(), unit.sequence)};
  const Sequence& s = halves.s;
  const int64_t chunk = halves.d.C;
  w.load(s, unit);
  if (halves.p[LATHE_K].present())
    walk_chunks(0, s.keys, chunk, unit.heads, [&](const Step& now, const Step& next) { halves.accumulate(now, next); });
  w.save(s, unit);
  if (!halves.p[LATHE_Q].present()) return;
  if (!halves.plan.meaning.normalise()) std::fill_n(w.inv(), chunk, 1.f);
  walk_chunks(0, s.queries, chunk, unit.heads, [&](const Step& now, const Step& next) { halves.read_out(now, next); });
  w.zero_outputs(s, unit);
}

}  // namespace lathe
