// The recurrence itself, as in decode.cpp, but rows are made ready for a chunk of tokens at once: that leaves little
// to do for each token, and while a chunk lasts a state stays in the first-level cache.
#include "walk.h"

#include "adaptive.h"

namespace lathe {

namespace {

const float* row(const Worker::Rows& rows, int64_t i) { return rows.data + i * rows.stride; }

// Token i of a chunk: what its query reads of the state that it leaves.
void take(Worker& w, int64_t head, const TokenRows& token, float* state, float inv, float* out) {
  const Plan& plan = w.plan();
  float* momentum = plan.momentum_of(state);
  const MovedState of{state, momentum, state, momentum, plan.padded.V};
  move(plan, w.problem().sizes.K, token, of, moved_by_token(w, head, token, last_token(plan, state), of), inv, out);
  keep_last(w, token, state);
}

// The output heads of one state, and where their rows of a chunk go: the caller's own where kernels can write them.
void walk_state(Worker& w, const Sequence& s, const Step& step, int64_t key_head, int64_t value,
                const Worker::Rows& keys, const Worker::Rows& sums) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Padded& d = plan.padded;
  const Group group{p.sizes, plan.meaning.tiled()};
  const Tensor& o = p[LATHE_O];
  const bool direct = o.storage == Storage::kF32 && p.sizes.V == d.V;
  float* state = w.state(static_cast<size_t>(step.head), value);
  const int64_t state_head = group.head(p.sizes.state_heads(), key_head, value);
  const Worker::Rows values = w.values(s, step.t, step.rows, group.head(p.sizes.HV, key_head, value), w.v());
  const auto each_output = [&](auto visit) {
    int64_t n = 0;
    for (int64_t l = 0; l < group.outputs(); l++)
      if (group.value_of(l) == value) visit(l, n++);
  };
  const auto head_of = [&](int64_t l) { return group.head(p.sizes.out_heads(), key_head, l); };
  // The first queries also move the state on; others only read it.
  Worker::Rows first{};
  each_output([&](int64_t l, int64_t n) {
    float* room = w.q() + n * d.C * d.K;
    const int64_t head = group.head(p.sizes.HQ, key_head, group.query_of(l));
    const Worker::Rows queries = w.map_rows(LATHE_Q, step, s, head, 0, room);
    if (n == 0)
      first = queries;
    else if (queries.data != room)
      w.widen(Storage::kF32, reinterpret_cast<const char*>(queries.data), queries.stride, step.rows, d.K, room, d.K);
    if (plan.meaning.normalise()) w.denominators(queries, sums, d.K, step.rows, w.inv() + n * d.C);
  });
  for (int64_t i = 0; i < step.rows; i++)
    each_output([&](int64_t l, int64_t n) {
      float* out = direct ? o.floats(s.batch, s.token(step.t + i), head_of(l)) : w.o() + (n * d.C + i) * d.V;
      float inv = plan.meaning.normalise() ? w.inv()[n * d.C + i] : 1;
      if (n == 0) return take(w, state_head, {row(first, i), row(keys, i), row(values, i)}, state, inv, out);
      Buffer q(w.q() + (n * d.C + i) * d.K, p.sizes.K), h(state, d.V, p.sizes.K, d.V), more(out, d.V);
      call(*plan.kernels.recall, q, h, inv, more);
    });
  if (direct) return;
  each_output([&](int64_t l, int64_t n) {
    w.store(w.o() + n * d.C * d.V, d.V, o.at(s.batch, s.token(step.t), head_of(l)), o.stride[1], step.rows);
  });
}

}  // namespace

void walk_tokens(Worker& w, const Sequence& s, const Unit& unit) {
  const Group group{w.problem().sizes, w.plan().meaning.tiled()};
  w.load(s, unit);
  walk_chunks(0, s.queries, w.plan().padded.C, unit.heads, [&](const Step& step, const Step&) {
    const int64_t key_head = unit.head + step.head;
    const Worker::Rows keys = w.map_rows(LATHE_K, step, s, key_head, 0, w.k());
    const Worker::Rows sums = w.plan().meaning.normalise()
                                  ? sums_of_keys(w, keys, step.rows, w.z(static_cast<size_t>(step.head)))
                                  : Worker::Rows{};
    for (int64_t value = 0; value < group.values(); value++) walk_state(w, s, step, key_head, value, keys, sums);
  });
  w.save(s, unit);
}

}  // namespace lathe
