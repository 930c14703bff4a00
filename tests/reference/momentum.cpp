// The Momentum Transformer's heavy ball: what a token brings moves the state now and, less and less, at every later
// token. The normaliser counts mapped keys and has no momentum.
#include "momentum.h"

#include <cmath>

namespace reference {

double momentum_kept(const Problem& p, int64_t head) {
  const double g = p.decay[static_cast<size_t>(head)];
  return std::exp(p.clamp && g > 0 ? 0 : g);
}

namespace {

// S or p of one head, or z.
struct Part {
  std::vector<double>&value, &size;
  int64_t at;
  double& operator[](int64_t i) const { return value[static_cast<size_t>(at + i)]; }
  double& sized(int64_t i) const { return size[static_cast<size_t>(at + i)]; }
};

Answers momentum(const Problem& p) {
  const int64_t K = map_width(p), V = p.V, HS = p.state_heads(), HO = p.out_heads();
  Answers a = initial_answers(p);
  const std::vector<double> start = a.value.z;
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < HS; ++head) {
      const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV);
      const int64_t state_at = (s.state_row * HS + head) * K * V, z_at = (s.state_row * p.HK + kh) * K;
      const Part S{a.value.state, a.size.state, state_at}, P{a.value.momentum, a.size.momentum, state_at};
      // heads that share keys count them once
      std::vector<double> sum(start.begin() + z_at, start.begin() + z_at + K), sum_size;
      for (const double y : sum) sum_size.push_back(std::abs(y));
      const double beta = momentum_kept(p, head), gamma = p.step_size[static_cast<size_t>(head)];
      for (int64_t i = 0; i < s.count; ++i) {
        const int64_t token = s.b * p.T + s.first + i;
        const Feature k =
            map_key(p, kh, s.position + i, &p.k[static_cast<size_t>((token * p.HK + kh) * p.key_width())], {});
        const double* v = &p.v[static_cast<size_t>((token * p.HV + vh) * V)];
        for (int64_t c = 0; c < K; ++c) {
          sum[static_cast<size_t>(c)] += k.value[static_cast<size_t>(c)];
          sum_size[static_cast<size_t>(c)] += k.size[static_cast<size_t>(c)];
          for (int64_t e = 0; e < V; ++e) {
            const int64_t n = c * V + e;
            P[n] = beta * P[n] - gamma * k.value[static_cast<size_t>(c)] * v[e];
            P.sized(n) = beta * P.sized(n) + std::abs(gamma * v[e]) * k.size[static_cast<size_t>(c)];
            S[n] -= P[n];
            S.sized(n) += P.sized(n);
          }
        }
        if (p.snapshots)
          for (int64_t n = 0; n < K * V; ++n) {
            a.value.snapshots[static_cast<size_t>((token * HS + head) * K * V + n)] = S[n];
            a.size.snapshots[static_cast<size_t>((token * HS + head) * K * V + n)] = S.sized(n);
          }
        for (int64_t h = 0; h < HO; ++h) {
          if (shared_head(p, h, HO, HS) != head) continue;
          const int64_t qh = shared_head(p, h, HO, p.HQ);
          const size_t out = static_cast<size_t>((token * HO + h) * V);
          const Feature q = map_query(p, qh, s.position + i, &p.q[static_cast<size_t>((token * p.HQ + qh) * p.D)]);
          read_out(p, q, &S[0], &S.sized(0), sum.data(), sum_size.data(), &a.value.o[out], &a.size.o[out]);
        }
      }
      std::copy(sum.begin(), sum.end(), a.value.z.begin() + z_at);
      std::copy(sum_size.begin(), sum_size.end(), a.size.z.begin() + z_at);
    }
  return a;
}

// the momentum's decay is raised to as many powers as there are tokens in a chunk
const AnnounceVariant announced("momentum",
                                {.causal = momentum, .epsilons = 30, .takes_decay = true, .takes_momentum = true});

}  // namespace
}  // namespace reference
