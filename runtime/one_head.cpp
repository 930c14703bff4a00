// One head on several workers. Nothing passes between them, so that the bits are those of one worker, whatever their
// number: each either has columns of its own, or carries the state to where its tokens begin.
#include <cmath>

#include "causal.h"
#include "run.h"

namespace lathe {

namespace {

// What carrying a state past a chunk costs of what its outputs cost as well: 0.46 at K=V=64, of which 0.33 are the
// products that the chunk's state is made of.
constexpr double kCarried = 0.45;

// Otherwise every worker maps keys and queries and computes scores for itself, most of its work unless values are wide.
// Tried for K=V=64 on two: packed chunks shared 1.2 to 1.28 of one worker's speed, states handed from one to the other
// 0.77, since caches pass them on more slowly than they are made; columns 1.47; and carrying 1.50, where
// (1 - (1 - 0.46)^2) / 0.46 = 1.54 is the limit.
bool by_columns(const Plan& plan, const Problem& p) {
  // the recurrence has no scores; and what reads the state is not carried without its outputs
  if (plan.kernels.recurrence)
    return !plan.kernels.recurrence_state || plan.padded.V / plan.padded.V_grain >= plan.threads;
  return p.sizes.V > p.sizes.K && plan.padded.V / plan.padded.V_grain >= plan.threads;
}

// The chunk at which worker `slot` of `n` begins, so that all end together: later ones carry the state further and have
// fewer tokens of their own.
int64_t first_chunk(int64_t chunks, int64_t slot, int64_t n) {
  const double part = (1 - std::pow(1 - kCarried, slot)) / (1 - std::pow(1 - kCarried, n));
  return static_cast<int64_t>(static_cast<double>(chunks) * part);
}

void share(std::vector<Worker>& workers, const Sequence& s, const Unit& unit, const Parallel& parallel) {
  const Plan& plan = workers[0].plan();
  const Padded& d = plan.padded;
  const auto all = static_cast<int64_t>(workers.size());
  if (by_columns(plan, workers[0].problem())) {
    const int64_t grains = d.V / d.V_grain, n = std::min(grains, all);
    const auto columns_of = [&](int64_t slot) {
      const int64_t first = grains * slot / n, end = grains * (slot + 1) / n;
      return Columns{first * d.V_grain, (end - first) * d.V_grain};
    };
    const auto work = [&](int slot) {
      Worker& w = workers[static_cast<size_t>(slot)];
      w.load(s, unit);
      walk(w, s, unit, columns_of(slot), {0, s.queries, true});
    };
    parallel(static_cast<int>(n), std::ref(work));
    // only now: a state that is updated in place was read by every worker
    for (int64_t slot = 0; slot < n; slot++) workers[static_cast<size_t>(slot)].save(s, unit, columns_of(slot));
    return;
  }
  const int64_t n = all, chunks = (s.queries + d.C - 1) / d.C;
  const auto work = [&](int slot) {
    Worker& w = workers[static_cast<size_t>(slot)];
    const int64_t first = first_chunk(chunks, slot, n) * d.C;
    const int64_t end = slot + 1 == n ? s.queries : first_chunk(chunks, slot + 1, n) * d.C;
    w.load(s, unit);
    walk(w, s, unit, {0, d.V}, {0, first, false});
    walk(w, s, unit, {0, d.V}, {first, end, true});
  };
  parallel(static_cast<int>(n), std::ref(work));
  workers.back().save(s, unit);
}

}  // namespace

bool wants_sharing(const Plan& plan, const Problem& p, int64_t units) {
  return plan.meaning.op->op == Op::kCausal && !plan.meaning.variant->adapts() && units < plan.threads &&
         p.sizes.Tq >= 8 * plan.padded.C;
}

void run_shared(std::vector<Worker>& workers, const Parallel& parallel) {
  const Problem& p = workers[0].problem();
  for (int64_t i = 0; i < p.sizes.N * p.sizes.HK; i++) {
    const Unit unit{i / p.sizes.HK, i % p.sizes.HK, 1};
    const Sequence s = sequence(p, unit.sequence);
    if (s.queries <= kDecodeTokens) {
      run_causal(workers[0], unit);
      continue;
    }
    workers[0].zero_outputs(s, unit);
    share(workers, s, unit, parallel);
  }
}

}  // namespace lathe
