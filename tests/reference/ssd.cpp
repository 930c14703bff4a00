// Mamba-2's recurrence: a decay for each unit of time, and tokens that last some time. A longer one leaves less of the
// state and brings more of its value. Outputs may skip the recurrence in part and are gated last.
#include <cmath>

#include "reference.h"

namespace reference {
namespace {

double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

// Of the size of an output, what its own values add, and by how much it is scaled.
void finish(const Problem& p, int64_t out, int64_t head, const double* v, Answers& a) {
  for (int64_t e = 0; e < p.V; ++e) {
    double &o = a.value.o[out * p.V + e], &size = a.size.o[out * p.V + e];
    if (!p.skip.empty()) {
      o += p.skip[head] * v[e];
      size += std::abs(p.skip[head] * v[e]);
    }
    if (p.out_gate.empty()) continue;
    const double z = p.out_gate[out * p.V + e], silu = z / (1 + std::exp(-z));
    o *= silu;
    size *= std::abs(silu);
  }
}

Answers ssd(const Problem& p) {
  const int64_t H = p.state_heads(), HO = p.out_heads();
  std::vector<double> steps = p.dt;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!p.dt_bias.empty()) steps[i] += p.dt_bias[i % static_cast<size_t>(H)];
    if (p.softplus) steps[i] = softplus(steps[i]);
    if (p.clamp && steps[i] < 0) steps[i] = 0;
  }
  Problem weighed = p;
  for (size_t i = 0; i < weighed.v.size(); ++i) weighed.v[i] *= steps[i / static_cast<size_t>(p.V)];
  Answers a = scan(weighed, [&](int64_t token, int64_t head, int64_t) {
    const double step = steps[token * H + head], g = p.clamp && p.decay[head] > 0 ? 0 : p.decay[head];
    return step == 0 ? 1 : std::exp(g * step);
  });
  for (const Sequence& s : sequences(p))
    for (int64_t i = 0; i < s.count; ++i)
      for (int64_t h = 0; h < HO; ++h) {
        const int64_t token = s.b * p.T + s.first + i, head = shared_head(p, h, HO, H);
        finish(p, token * HO + h, head, &p.v[(token * H + head) * p.V], a);
      }
  return a;
}

const AnnounceVariant announced("ssd", {.causal = ssd, .epsilons = 30, .takes_decay = true, .takes_steps = true});

}  // namespace
}  // namespace reference
