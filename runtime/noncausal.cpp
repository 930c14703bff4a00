// Non-causal attention in its two halves: sums over keys, then a readout for each query. Either half alone is
// "accumulate" and "readout".
#include "run.h"

namespace lathe {

namespace {

void accumulate(Worker& w, const Sequence& s, int64_t key_head, const Group& group) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Padded& d = plan.padded;
  for (int64_t t = 0; t < s.keys; t += d.C) {
    const int64_t rows = std::min(d.C, s.keys - t);
    w.map_keys(s, t, rows, key_head, w.k(), w.kt());
    for (int64_t value = 0; value < group.values(); value++) {
      w.pack_values(s, t, rows, group.head(p.sizes.HV, key_head, value), w.v());
      Buffer kt(w.kt(), d.C, d.K, d.C), v(w.v(), d.V, d.C, d.V);
      Buffer h(w.state(0, value), d.V, d.K, d.V), next(w.state(0, value), d.V, d.K, d.V);
      call(*plan.kernels.state, kt, v, h, next);
      w.clear_padded_keys(w.state(0, value));
    }
    if (plan.meaning.normalise()) {
      Buffer k(w.k(), d.K, d.C, d.K), z(w.z(0), d.K), next(w.z(0), d.K);
      call(*plan.kernels.key_sum, k, z, next);
    }
  }
}

void read_out(Worker& w, const Sequence& s, int64_t key_head, const Group& group) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Padded& d = plan.padded;
  const Tensor& o = p[LATHE_O];
  if (!plan.meaning.normalise()) std::fill_n(w.inv(), d.C, 1.f);
  for (int64_t t = 0; t < s.queries; t += d.C) {
    const int64_t rows = std::min(d.C, s.queries - t);
    int64_t mapped = -1;
    for (int64_t l = 0; l < group.outputs(); l++) {
      const int64_t query_head = group.head(p.sizes.HQ, key_head, group.query_of(l));
      Buffer q(w.q(), d.K, d.C, d.K), inv(w.inv(), d.C);
      if (query_head != mapped) {
        w.map_queries(s, t, rows, query_head, w.q());
        mapped = query_head;
        if (plan.meaning.normalise()) {
          Buffer z(w.z(0), d.K);
          float eps = plan.meaning.eps;
          int32_t at_least = plan.meaning.flags & LATHE_DENOM_MAX ? 1 : 0;
          call(*plan.kernels.fixed_denominator, q, z, eps, at_least, inv);
        }
      }
      char* to = o.at(s.batch, s.first + t, group.head(p.sizes.out_heads(), key_head, l));
      int64_t stride;
      float* rows_out = w.output_rows(to, rows, stride);
      Buffer h(w.state(0, group.value_of(l)), d.V, d.K, d.V), out(rows_out, d.V, d.C, stride);
      call(*plan.kernels.readout, q, h, inv, out);
      w.store(rows_out, stride, to, o.stride[1], rows);
    }
  }
}

}  // namespace

void run_noncausal(Worker& w, const Unit& unit) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Sequence s = sequence(p, unit.sequence);
  const Group group{p.sizes, plan.meaning.tiled()};
  for (int64_t h = unit.head; h < unit.head + unit.heads; h++) {
    for (int64_t value = 0; value < group.values(); value++)
      w.load_state(p[LATHE_STATE_IN], s.state, group.head(p.sizes.state_heads(), h, value), w.state(0, value));
    w.load_z(p[LATHE_Z_IN], s.state, h, w.z(0));
    if (p[LATHE_K].present()) accumulate(w, s, h, group);
    for (int64_t value = 0; value < group.values(); value++)
      w.save_state(w.state(0, value), p[LATHE_STATE_OUT], s.state, group.head(p.sizes.state_heads(), h, value));
    w.save_z(w.z(0), p[LATHE_Z_OUT], s.state, h);
    if (!p[LATHE_Q].present()) continue;
    read_out(w, s, h, group);
    for (int64_t l = 0; l < group.outputs(); l++) w.zero_outputs(s, group.head(p.sizes.out_heads(), h, l));
  }
}

}  // namespace lathe
