// Where in its memory a worker has what, and what workers share.
#include <cstring>

#include "adaptive.h"
#include "delta.h"
#include "key_gates.h"
#include "momentum.h"
#include "sequences.h"
#include "token_tiles.h"

namespace lathe {

namespace {

// States that a worker walks together must stay in its second-level cache, of which half is left for the tiles.
constexpr int64_t kStateBytes = int64_t{512} * 1024;

// Heads of one token are neighbours, as in [B,T,H,D]: then the rows of one head are far apart, and heads are walked
// together. In [B,H,T,D] the rows of a head are one stream.
bool side_by_side(const Tensor& x) { return x.shape[2] > 1 && x.stride[2] < x.stride[1]; }

int64_t heads_together(const Problem& p, int64_t state_bytes) {
  const Tensor& k = p[LATHE_K].present() ? p[LATHE_K] : p[LATHE_Q];
  return side_by_side(k) ? std::clamp<int64_t>(kStateBytes / state_bytes, 1, p.sizes.HK) : 1;
}

}  // namespace

Layout worker_layout(const Plan& plan, const Problem& problem) {
  const Padded& w = plan.padded;
  const int64_t values = problem.sizes.HV / problem.sizes.HK;
  Layout layout{};
  Carver carver;
  const auto take = [&](int64_t floats) { return static_cast<size_t>(carver(floats)) * sizeof(float); };
  layout.staged = take(w.C * w.D + 16);
  layout.projected = take(w.C * w.M_back);
  // a tile of features may run past the heads of one token
  constexpr int64_t slack = 16;
  const bool adapts = plan.meaning.variant->adapts();
  // of a chunk, for each query of a state where they are walked together, or of the heads of one token
  const int64_t queries_of_state = adapts ? problem.sizes.out_heads() / problem.sizes.state_heads() : 1;
  const int64_t rows = std::max(w.C * queries_of_state, problem.sizes.HQ / problem.sizes.HK);
  // a key's rows or its features, and what they weigh
  layout.mixed = take(problem.mixes() ? (w.C + slack) * std::max(w.D, w.K) : 0);
  layout.weights = take(problem.mixes() ? w.C + slack : 0);
  layout.peaks = take(w.C + 16);
  layout.query_peaks = take(plan.meaning.map->stabilises() ? rows + slack : 0);
  layout.lengths = take(2 * (w.C + 16));
  layout.q = take((rows + slack) * w.K);
  layout.k = take((w.C + slack) * w.K);
  layout.kt = take(std::max(w.C * w.K, w.V));
  layout.v = take(w.C * w.V);
  layout.o = take(rows * w.V);
  layout.inv = take((plan.meaning.variant->rank_one() ? 2 : 1) * rows + 16);
  layout.gate = take(2 * w.C + 16);
  layout.dt = take(w.C + 16);
  layout.raw = take(plan.meaning.variant->weighs() ? w.C * w.V : 0);
  layout.key_gates = take(KeyGates::floats(plan));
  layout.token_gates = take(TokenGates::floats(plan));
  layout.recurrence = take(TokenTiles::floats(plan));
  layout.delta = take(DeltaRule::floats(plan));
  layout.momentum = take(adapts ? adaptive_floats(plan) : Momentum::floats(plan));
  layout.narrow = take(w.C * w.V);
  layout.z = static_cast<size_t>(states_of_value(plan) * values * plan.state_floats()) * sizeof(float);
  layout.state_stride = layout.z + static_cast<size_t>(w.K + 16) * sizeof(float);
  layout.heads = static_cast<size_t>(heads_together(problem, static_cast<int64_t>(layout.state_stride)));
  layout.states = take(static_cast<int64_t>(layout.heads * layout.state_stride / sizeof(float)));
  if (plan.meaning.op->backward()) {
    const Sizes& s = problem.sizes;
    const int64_t queries = s.HQ / s.HK;
    BackwardLayout& b = layout.backward;
    b.o = take(w.C * w.V);
    for (size_t* tile : {&b.dq, &b.dk, &b.sums, &b.weighed}) *tile = take((w.C + slack) * w.K);
    b.dv = take(w.C * w.V);
    for (size_t* tile : {&b.x, &b.dx, &b.row}) *tile = take(w.C * std::max({w.D, w.K, w.V}) + 16);
    b.du = take((w.C + slack) * w.M);
    b.turned = take(w.C * std::max(w.K, w.V));
    b.narrow = take(w.C * std::max({w.D, w.K, w.V}));
    b.zeros = take(plan.state_floats());
    b.part = take(w.K * w.V);
    b.ones = take(w.C);
    const bool keyed = plan.meaning.variant->keyed(), of_keys = keyed && problem.wants_gate_gradients();
    b.given = take(static_cast<int64_t>(layout.heads) * (values * (keyed ? 3 * w.K : 8) + w.K));
    // a chunk that ends the tokens is whole too
    b.products = take(of_keys ? static_cast<int64_t>(layout.heads) * values * (s.Tq + w.C) * w.K : 0);
    b.own = take(of_keys ? w.C * w.K : plan.meaning.variant->steps() ? w.C : 0);
    const int64_t carried = static_cast<int64_t>(layout.heads) * values, chunks = chunks_of(s.Tq, w.C),
                  corrected = plan.meaning.variant->corrects() ? 1 : 0;
    b.differences = take(corrected * carried * chunks * w.C * w.V);
    b.entered = take(corrected * carried * chunks * w.K * w.V);
    b.taken = take(corrected * values * w.C * w.V);
    b.betas = take(corrected * (w.C + 16));
    b.skipped = take(plan.meaning.variant->steps() ? w.C * w.V : 0);
    b.tokens = take(static_cast<int64_t>(layout.heads) * (2 * queries + values) * s.Tq);
    b.peaks = take(plan.meaning.stabilise() ? static_cast<int64_t>(layout.heads) * s.Tk : 0);
  }
  layout.total = static_cast<size_t>(carver.floats) * sizeof(float);
  return layout;
}

namespace {

int64_t projections(const Tensor& w) { return !w.present() ? 0 : w.rank == 3 ? w.shape[0] : 1; }

}  // namespace

Shared shared_layout(const Plan& plan, const Problem& p) {
  const Sizes& s = p.sizes;
  const int64_t one = plan.padded.M * plan.padded.D, all = projections(p[LATHE_PROJECTION]) * one;
  Shared shared{};
  Carver carver;
  const auto take = [&](int64_t floats) {
    const auto at = static_cast<size_t>(carver(floats));
    shared.total = static_cast<size_t>(carver.floats);
    return at;
  };
  shared.projection = take(all);
  if (!plan.meaning.op->backward()) return shared;
  shared.rows = take(all);
  shared.heads = take(kNumbersOfHeads * s.N * s.state_heads());
  shared.bonuses = take(p[gradient_of(LATHE_BONUS)].present() ? s.N * s.state_heads() * plan.padded.K : 0);
  // sums in float64
  shared.mixtures = take(p[gradient_of(LATHE_MIXTURE)].present() ? 2 * s.N * s.HK * s.keys : 0);
  shared.projections = take(p[gradient_of(LATHE_PROJECTION)].present() ? s.N * s.HK * one : 0);
  return shared;
}

void fill_projection(const Plan& plan, const Problem& problem, float* shared) {
  const Tensor& w = problem[LATHE_PROJECTION];
  const Shared layout = shared_layout(plan, problem);
  const Padded& d = plan.padded;
  std::memset(shared, 0, layout.total * sizeof(float));
  for (int64_t h = 0; h < projections(w); h++)
    for (int64_t m = 0; m < problem.sizes.M; m++) {
      const float* row = w.rank == 3 ? w.floats(h, m) : w.floats(m);
      for (int64_t i = 0; i < problem.sizes.D; i++) shared[(h * d.D + i) * d.M + m] = row[i];
      if (layout.rows > 0)
        std::copy_n(row, problem.sizes.D, shared + layout.rows + static_cast<size_t>((h * d.M + m) * d.D));
    }
}

}  // namespace lathe
