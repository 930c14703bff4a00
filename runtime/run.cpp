#include "run.h"

#include <atomic>

#include "gradient.h"

namespace lathe {

namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Heads that share a unit: as many as a worker can carry, but no fewer units than threads.
int64_t heads_of_unit(const Plan& plan, const Problem& p, const Layout& layout) {
  const Sizes& s = p.sizes;
  if (plan.meaning.op->op == Op::kDecode)
    return plan.threads > 1 && s.N < plan.threads ? std::max<int64_t>(1, s.HK / plan.threads) : s.HK;
  const int64_t wanted = std::max<int64_t>(1, s.N * s.HK / plan.threads);
  return std::min<int64_t>(static_cast<int64_t>(layout.heads), wanted);
}

void run_unit(Op op, Worker& worker, const Unit& unit) {
  switch (op) {
    case Op::kCausal:
      return run_causal(worker, unit);
    case Op::kDecode:
      return run_decode(worker, unit);
    case Op::kNoncausal:
    case Op::kAccumulate:
    case Op::kReadout:
      return run_noncausal(worker, unit);
    case Op::kCausalBackward:
      return run_causal_backward(worker, unit);
    case Op::kNoncausalBackward:
      return run_noncausal_backward(worker, unit);
  }
}

int64_t units_of(const Problem& p, int64_t heads) { return p.sizes.N * ((p.sizes.HK + heads - 1) / heads); }

}  // namespace

size_t workspace_bytes(const Plan& plan, const Problem& p) {
  const Layout layout = worker_layout(plan, p);
  return shared_layout(plan, p).total * sizeof(float) + static_cast<size_t>(plan.threads) * aligned(layout.total);
}

void run(const Plan& plan, const Problem& p, char* workspace, const Parallel& parallel, Room& room) {
  const Layout layout = worker_layout(plan, p);
  float* shared = reinterpret_cast<float*>(workspace);
  fill_projection(plan, p, shared);
  char* scratch = workspace + shared_layout(plan, p).total * sizeof(float);

  const int64_t heads = heads_of_unit(plan, p, layout), units = units_of(p, heads);
  const int64_t blocks = (p.sizes.HK + heads - 1) / heads;
  std::vector<Worker>& workers = room.workers;
  workers.clear();
  for (int i = 0; i < plan.threads; i++)
    workers.emplace_back(plan, p, layout, shared, scratch + static_cast<size_t>(i) * aligned(layout.total));
  if (wants_sharing(plan, p, units)) return run_shared(workers, parallel);

  std::atomic<int64_t> next{0};
  const auto work = [&](int slot) {
    for (int64_t i = next.fetch_add(1); i < units; i = next.fetch_add(1)) {
      const int64_t first = i % blocks * heads;
      run_unit(plan.meaning.op->op, workers[static_cast<size_t>(slot)],
               {i / blocks, first, std::min(heads, p.sizes.HK - first)});
    }
  };
  // by reference: a std::function of its own would be allocated
  parallel(static_cast<int>(std::min<int64_t>(plan.threads, units)), std::ref(work));
  if (plan.meaning.op->backward()) sum_parts(plan, p, shared);
}

}  // namespace lathe
