// The Momentum Transformer's heavy ball: what a token brings moves the state now and, less and less, at every later
// token. The normaliser counts mapped keys and has no momentum.
#include "momentum.h"

#include <algorithm>
#include <cmath>

namespace reference {

double momentum_kept(const Problem& p, int64_t head) {
  const double g = p.decay[static_cast<size_t>(head)];
  return std::exp(p.clamp && g > 0 ? 0 : g);
}

namespace {

// S or P of one head, or z.
Feature part(const std::vector<double>& value, const std::vector<double>& size, int64_t at, int64_t n) {
  return {{value.begin() + at, value.begin() + at + n}, {size.begin() + at, size.begin() + at + n}};
}

}  // namespace

Answers heavy_ball(const Problem& p, const Adapt& adapt) {
  const int64_t K = map_width(p), V = p.V, HS = p.state_heads(), HO = p.out_heads();
  Answers a = initial_answers(p);
  const Answers start = a;
  const auto put = [&](std::vector<double> Answer::*to, int64_t at, const Feature& of) {
    std::copy(of.value.begin(), of.value.end(), (a.value.*to).begin() + at);
    std::copy(of.size.begin(), of.size.end(), (a.size.*to).begin() + at);
  };
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < HS; ++head) {
      const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV);
      const int64_t state = s.state_row * HS + head, z_at = (s.state_row * p.HK + kh) * K;
      const auto came = [&](std::vector<double> Answer::*of, int64_t at, int64_t n) {
        return part(start.value.*of, start.size.*of, at, n);
      };
      Feature S = came(&Answer::state, state * K * V, K * V), P = came(&Answer::momentum, state * K * V, K * V),
              sum = came(&Answer::z, z_at, K);  // heads that share keys count them once
      KeyAndValue last;
      if (!start.value.last.empty())
        last = {came(&Answer::last, state * (K + V), K), came(&Answer::last, state * (K + V) + K, V).value};
      for (int64_t i = 0; i < s.count; ++i) {
        const int64_t token = s.b * p.T + s.first + i;
        const auto v = p.v.begin() + (token * p.HV + vh) * V;
        const KeyAndValue now = {
            map_key(p, kh, s.position + i, &p.k[static_cast<size_t>((token * p.HK + kh) * p.key_width())], {}),
            {v, v + V}};
        const Adapted by = adapt(head, P, now, last);
        for (size_t n = 0; n < S.value.size(); ++n) {
          const size_t c = n / static_cast<size_t>(V);
          const double x = now.v[n % static_cast<size_t>(V)];
          P.size[n] = by.kept * P.size[n] + by.unsure * std::abs(P.value[n]) + std::abs(by.taken * x) * now.k.size[c];
          P.value[n] = by.kept * P.value[n] - by.taken * now.k.value[c] * x;
          S.value[n] -= P.value[n];
          S.size[n] += P.size[n];
        }
        for (size_t c = 0; c < sum.value.size(); ++c) {
          sum.value[c] += now.k.value[c];
          sum.size[c] += now.k.size[c];
        }
        last = now;
        if (p.snapshots) put(&Answer::snapshots, (token * HS + head) * K * V, S);
        for (int64_t h = 0; h < HO; ++h) {
          if (shared_head(p, h, HO, HS) != head) continue;
          const int64_t qh = shared_head(p, h, HO, p.HQ);
          const size_t out = static_cast<size_t>((token * HO + h) * V);
          const Feature q = map_query(p, qh, s.position + i, &p.q[static_cast<size_t>((token * p.HQ + qh) * p.D)]);
          read_out(p, q, S.value.data(), S.size.data(), sum.value.data(), sum.size.data(), &a.value.o[out],
                   &a.size.o[out]);
        }
      }
      put(&Answer::state, state * K * V, S);
      put(&Answer::momentum, state * K * V, P);
      put(&Answer::z, z_at, sum);
      if (last.k.value.empty() || a.value.last.empty()) continue;
      Feature value{last.v, last.v};
      for (double& x : value.size) x = std::abs(x);
      put(&Answer::last, state * (K + V), last.k);
      put(&Answer::last, state * (K + V) + K, value);
    }
  return a;
}

namespace {

Answers momentum(const Problem& p) {
  return heavy_ball(p, [&](int64_t head, const Feature&, const KeyAndValue&, const KeyAndValue&) -> Adapted {
    return {momentum_kept(p, head), p.step_size[static_cast<size_t>(head)]};
  });
}

// the momentum's decay is raised to as many powers as there are tokens in a chunk
const AnnounceVariant announced("momentum",
                                {.causal = momentum, .epsilons = 30, .takes_decay = true, .takes_momentum = true});

}  // namespace
}  // namespace reference
