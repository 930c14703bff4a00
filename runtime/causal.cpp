// The causal scan: chunks outside, heads inside, the states of all heads of a unit kept at hand.
#include "run.h"

namespace lathe {

namespace {

// Sequences of one token take the recurrence itself: a chunk would cost as much as a full one.
constexpr int64_t kDecodeTokens = 1;

void fill_gate(float* gate, float g, int64_t rows, int64_t chunk) {
  for (int64_t i = 0; i < chunk; i++) gate[i] = g * static_cast<float>(std::min(i + 1, rows));
}

struct Chunk {
  Worker& w;
  const Plan& plan;
  const Problem& p;
  const Sequence& s;
  int64_t t, rows;

  void denominators(size_t carried, bool decay) {
    const Padded& d = plan.padded;
    Buffer q(w.q(), d.K, d.C, d.K), k(w.k(), d.K, d.C, d.K), z(w.z(carried), d.K), b(w.gate(), d.C);
    Buffer inv(w.inv(), d.C), next(w.next_z(carried), d.K);
    float eps = plan.meaning.eps;
    int32_t at_least = plan.meaning.flags & LATHE_DENOM_MAX ? 1 : 0;
    if (decay)
      call(*plan.kernels.denominator, q, k, z, eps, at_least, b, inv, next);
    else
      call(*plan.kernels.denominator, q, k, z, eps, at_least, inv, next);
  }

  void outputs(size_t carried, int64_t head, int64_t value, bool decay) {
    const Padded& d = plan.padded;
    const Tensor& o = p[LATHE_O];
    char* to = o.at(s.batch, s.first + t, head);
    int64_t stride;
    float* rows_out = w.output_rows(to, rows, stride);
    Buffer q(w.q(), d.K, d.C, d.K), kt(w.kt(), d.C, d.K, d.C), v(w.v(), d.V, d.C, d.V);
    Buffer h(w.state(carried, value), d.V, d.K, d.V), inv(w.inv(), d.C), b(w.gate(), d.C), out(rows_out, d.V, d.C, stride);
    if (decay)
      call(*plan.kernels.causal, q, kt, v, h, inv, b, out);
    else
      call(*plan.kernels.causal, q, kt, v, h, inv, out);
    w.store(rows_out, stride, to, o.stride[1], rows);
  }

  void advance(size_t carried, int64_t value, bool decay) {
    const Padded& d = plan.padded;
    Buffer kt(w.kt(), d.C, d.K, d.C), v(w.v(), d.V, d.C, d.V), b(w.gate(), d.C);
    Buffer h(w.state(carried, value), d.V, d.K, d.V), next(w.state(carried, value), d.V, d.K, d.V);
    if (decay)
      call(*plan.kernels.state, kt, v, h, b, next);
    else
      call(*plan.kernels.state, kt, v, h, next);
    w.clear_padded_keys(w.state(carried, value));
  }

  void walk(size_t carried, int64_t key_head) {
    const Group group{p.sizes, plan.meaning.tiled()};
    const bool decay = plan.meaning.decay;
    w.map_keys(s, t, rows, key_head, w.k(), w.kt());
    int64_t mapped = -1;
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t value_head = group.head(p.sizes.HV, key_head, value);
      w.pack_values(s, t, rows, value_head, w.v());
      if (decay) fill_gate(w.gate(), *p[LATHE_DECAY].floats(value_head), rows, plan.padded.C);
      for (int64_t l = 0; l < group.outputs(); l++) {
        if (group.value_of(l) != value) continue;
        const int64_t query_head = group.head(p.sizes.HQ, key_head, group.query_of(l));
        if (query_head != mapped) {
          w.map_queries(s, t, rows, query_head, w.q());
          if (plan.meaning.normalise()) denominators(carried, decay);
          mapped = query_head;
        }
        outputs(carried, group.head(p.sizes.out_heads(), key_head, l), value, decay);
      }
      advance(carried, value, decay);
    }
    if (plan.meaning.normalise()) std::copy_n(w.next_z(carried), plan.padded.K, w.z(carried));
  }
};

}  // namespace

void run_causal(Worker& w, const Unit& unit) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Sequence s = sequence(p, unit.sequence);
  const Group group{p.sizes, plan.meaning.tiled()};
  for (int64_t h = unit.head; h < unit.head + unit.heads; h++)
    for (int64_t l = 0; l < group.outputs(); l++) w.zero_outputs(s, group.head(p.sizes.out_heads(), h, l));
  if (s.queries > 0 && s.queries <= kDecodeTokens) return decode_sequence(w, s, unit.head, unit.heads);

  const auto each_state = [&](auto&& visit) {
    for (int64_t h = 0; h < unit.heads; h++)
      for (int64_t value = 0; value < group.values(); value++)
        visit(static_cast<size_t>(h), value, group.head(p.sizes.state_heads(), unit.head + h, value));
  };
  each_state([&](size_t carried, int64_t value, int64_t head) { w.load_state(p[LATHE_STATE_IN], s.state, head, w.state(carried, value)); });
  for (int64_t h = 0; h < unit.heads; h++) w.load_z(p[LATHE_Z_IN], s.state, unit.head + h, w.z(static_cast<size_t>(h)));
  if (!plan.meaning.normalise()) std::fill_n(w.inv(), plan.padded.C, 1.f);

  for (int64_t t = 0; t < s.queries; t += plan.padded.C)
    for (int64_t h = 0; h < unit.heads; h++)
      Chunk{w, plan, p, s, t, std::min(plan.padded.C, s.queries - t)}.walk(static_cast<size_t>(h), unit.head + h);

  each_state([&](size_t carried, int64_t value, int64_t head) { w.save_state(w.state(carried, value), p[LATHE_STATE_OUT], s.state, head); });
  for (int64_t h = 0; h < unit.heads; h++) w.save_z(w.z(static_cast<size_t>(h)), p[LATHE_Z_OUT], s.state, unit.head + h);
}

}  // namespace lathe
