// Gradients of the heavy ball, by the recurrence itself walked back: every state is kept, and what the loss says of a
// state and of its momentum is carried from each token to the one before it.
#include <cmath>

#include "mapped_gradients.h"
#include "momentum.h"

namespace reference {
namespace {

// n of them, as exact as they come; zeros where there are none.
Sized some(const std::vector<double>& all, int64_t at, int64_t n) {
  Sized out;
  out.assign(static_cast<size_t>(n));
  for (int64_t i = 0; i < n && !all.empty(); ++i) {
    const double x = all[static_cast<size_t>(at + i)];
    out.add(static_cast<size_t>(i), x, std::abs(x));
  }
  return out;
}

struct Walk {
  const Problem& p;
  const Given& given;
  MappedGradients& all;
  int64_t K = map_width(p), V = p.V, HS = p.state_heads(), HO = p.out_heads();

  void head_of(const Sequence& s, int64_t head) const {
    const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV);
    const int64_t state_at = (s.state_row * HS + head) * K * V, z_at = (s.state_row * p.HK + kh) * K;
    const double beta = momentum_kept(p, head), gamma = p.step_size[static_cast<size_t>(head)];
    // S and z after each token
    std::vector<Sized> states, sums;
    std::vector<Feature> keys;
    Sized S = some(p.state, state_at, K * V), P = some(p.momentum, state_at, K * V), z = some(p.z, z_at, K);
    const auto values = [&](int64_t i) { return ((s.b * p.T + s.first + i) * p.HV + vh) * V; };
    for (int64_t i = 0; i < s.count; ++i) {
      const int64_t token = s.b * p.T + s.first + i;
      keys.push_back(
          map_key(p, kh, s.position + i, &p.k[static_cast<size_t>((token * p.HK + kh) * p.key_width())], {}));
      for (size_t n = 0; n < S.value.size(); ++n) {
        const size_t c = n / static_cast<size_t>(V), e = n % static_cast<size_t>(V);
        const double v = p.v[static_cast<size_t>(values(i)) + e];
        P.value[n] = beta * P.value[n] - gamma * keys.back().value[c] * v;
        P.size[n] = beta * P.size[n] + std::abs(gamma * v) * keys.back().size[c];
        S.value[n] -= P.value[n];
        S.size[n] += P.size[n];
      }
      for (size_t c = 0; c < z.value.size(); ++c) {
        z.value[c] += keys.back().value[c];
        z.size[c] += keys.back().size[c];
      }
      states.push_back(S);
      sums.push_back(z);
    }
    // of the loss, by S, by the momentum and by z as later tokens and the end have them
    Sized by_state = some(given.state, state_at, K * V), by_momentum = some(given.momentum, state_at, K * V);
    bool first_of_keys = true;
    for (int64_t other = 0; other < head; ++other) first_of_keys &= shared_head(p, other, HS, p.HK) != kh;
    Sized by_z = some(first_of_keys ? given.z : std::vector<double>{}, z_at, K);
    for (int64_t i = s.count - 1; i >= 0; --i) {
      const int64_t token = s.b * p.T + s.first + i;
      for (int64_t h = 0; h < HO; ++h)
        if (shared_head(p, h, HO, HS) == head)
          query(token, s.position + i, h, states[static_cast<size_t>(i)], sums[static_cast<size_t>(i)], by_state, by_z);
      const Feature& key = keys[static_cast<size_t>(i)];
      const int64_t key_at = (token * p.HK + kh) * K;
      for (size_t n = 0; n < by_state.value.size(); ++n) {
        const size_t c = n / static_cast<size_t>(V), e = n % static_cast<size_t>(V),
                     v_at = static_cast<size_t>(values(i)) + e;
        by_momentum.value[n] -= by_state.value[n];
        by_momentum.size[n] += by_state.size[n];
        const double b = -gamma * by_momentum.value[n], b_size = std::abs(gamma) * by_momentum.size[n];
        all.k.add(static_cast<size_t>(key_at) + c, b * p.v[v_at], b_size * std::abs(p.v[v_at]));
        all.v.add(v_at, b * key.value[c], b_size * key.size[c]);
        by_momentum.value[n] *= beta;
        by_momentum.size[n] *= beta;
      }
      for (size_t c = 0; c < by_z.value.size(); ++c)
        all.k.add(static_cast<size_t>(key_at) + c, by_z.value[c], by_z.size[c]);
    }
    for (size_t n = 0; n < by_state.value.size(); ++n) {
      all.state.add(static_cast<size_t>(state_at) + n, by_state.value[n], by_state.size[n]);
      all.momentum.add(static_cast<size_t>(state_at) + n, by_momentum.value[n], by_momentum.size[n]);
    }
    for (size_t c = 0; c < by_z.value.size(); ++c)
      all.z.add(static_cast<size_t>(z_at) + c, by_z.value[c], by_z.size[c]);
  }

  // What a token's output gives to its query and to the state and the normaliser that it read.
  void query(int64_t token, int64_t position, int64_t h, const Sized& S, const Sized& z, Sized& by_state,
             Sized& by_z) const {
    const int64_t qh = shared_head(p, h, HO, p.HQ);
    const Feature q = map_query(p, qh, position, &p.q[static_cast<size_t>((token * p.HQ + qh) * p.D)]);
    const double* d_o = &given.o[static_cast<size_t>((token * HO + h) * V)];
    double denominator = 1, unsure = 0;
    bool bounded = false;
    if (p.normalise) {
      double sum = 0, size = 0;
      for (size_t c = 0; c < z.value.size(); ++c) sum += q.value[c] * z.value[c], size += q.size[c] * z.size[c];
      bounded = p.denom_max && sum < p.eps;
      denominator = bounded ? p.eps : p.denom_max ? sum : sum + p.eps;
      unsure = (size + p.eps) / std::abs(denominator);
    }
    double by_denominator = 0, by_denominator_size = 0;
    for (size_t n = 0; n < S.value.size() && p.normalise && !bounded; ++n) {
      const size_t c = n / static_cast<size_t>(V), e = n % static_cast<size_t>(V);
      const double d = d_o[e] / (denominator * denominator);
      by_denominator -= d * q.value[c] * S.value[n];
      by_denominator_size += std::abs(d) * q.size[c] * S.size[n] * (1 + unsure) * (1 + unsure);
    }
    const size_t q_at = static_cast<size_t>((token * p.HQ + qh) * K);
    for (size_t n = 0; n < S.value.size(); ++n) {
      const size_t c = n / static_cast<size_t>(V), e = n % static_cast<size_t>(V);
      const double d = d_o[e] / denominator, d_size = std::abs(d) * (1 + unsure);
      all.q.add(q_at + c, d * S.value[n], d_size * S.size[n]);
      by_state.value[n] += q.value[c] * d;
      by_state.size[n] += q.size[c] * d_size;
    }
    for (size_t c = 0; c < z.value.size(); ++c) {
      all.q.add(q_at + c, by_denominator * z.value[c], by_denominator_size * z.size[c]);
      by_z.value[c] += by_denominator * q.value[c];
      by_z.size[c] += by_denominator_size * q.size[c];
    }
  }
};

}  // namespace

MappedGradients backward_of_momentum(const Problem& p, const Given& given) {
  const auto tokens = static_cast<size_t>(p.B * p.T);
  const int64_t K = map_width(p);
  MappedGradients all;
  all.q.assign(static_cast<size_t>(p.B * p.queries() * p.HQ * K));
  all.k.assign(tokens * static_cast<size_t>(p.HK * K));
  all.v.assign(tokens * static_cast<size_t>(p.HV * p.V));
  all.state.assign(static_cast<size_t>(p.rows() * p.state_heads() * K * p.V));
  all.momentum.assign(all.state.value.size());
  all.z.assign(static_cast<size_t>(p.rows() * p.HK * K));
  const Walk walk{p, given, all};
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < p.state_heads(); ++head) walk.head_of(s, head);
  return all;
}

}  // namespace reference
