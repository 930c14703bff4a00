// Gradients of the delta rule, token by token from the last to the first: dS of the state after a token becomes that of
// the state before it. States are those of the forward oracle.
#include <algorithm>
#include <cmath>

#include "mapped_gradients.h"

namespace reference {
namespace {

class DeltaBackward {
 public:
  DeltaBackward(const Problem& problem, const Given& gradients) : p(problem), given(gradients) {
    Problem every = p;
    every.snapshots = true;
    states = causal(every);
    const auto tokens = static_cast<size_t>(p.B * p.T);
    all.q.assign(tokens * static_cast<size_t>(p.HQ * K));
    all.k.assign(tokens * static_cast<size_t>(p.HK * K));
    all.v.assign(tokens * static_cast<size_t>(p.HV * V));
    all.gate.assign(p.gate.size());
    all.beta.assign(p.beta.size());
    all.state.assign(static_cast<size_t>(p.rows() * HS * K * V));
    all.z.assign(p.z.size());
    for (const Sequence& s : sequences(p))
      for (int64_t head = 0; head < HS; ++head) walk(s, head);
  }
  MappedGradients all;

 private:
  size_t at(int64_t c, int64_t e) const { return static_cast<size_t>(c * V + e); }
  double gate(int64_t token, int64_t head, int64_t c) const {
    if (G == 0) return 0;
    const double g = p.gate[static_cast<size_t>((token * HS + head) * G + c % G)];
    return p.clamp && g > 0 ? 0 : g;
  }

  // Of what the state was before the token, once decayed.
  Sized decayed(const Sequence& s, int64_t t, int64_t head) const {
    const int64_t token = s.b * p.T + s.first + t, n = K * V;
    Sized m{std::vector<double>(static_cast<size_t>(n)), std::vector<double>(static_cast<size_t>(n))};
    for (int64_t i = 0; i < n; ++i) {
      const auto to = static_cast<size_t>(i);
      const double a = std::exp(gate(token, head, i / V));
      if (t > 0) {
        const auto from = static_cast<size_t>(((token - 1) * HS + head) * n + i);
        m.value[to] = a * states.value.snapshots[from];
        m.size[to] = a * states.size.snapshots[from];
      } else if (!p.state.empty()) {
        m.value[to] = a * p.state[static_cast<size_t>((s.state_row * HS + head) * n + i)];
        m.size[to] = std::abs(m.value[to]);
      }
    }
    return m;
  }

  void walk(const Sequence& s, int64_t head) {
    const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV), n = K * V;
    const size_t row = static_cast<size_t>((s.state_row * HS + head) * n);
    Sized d{std::vector<double>(static_cast<size_t>(n)), std::vector<double>(static_cast<size_t>(n))};
    std::vector<double> later(static_cast<size_t>(std::max<int64_t>(G, 1)));  // the sizes of a gate's sums
    for (int64_t i = 0; i < n && !given.state.empty(); ++i) {
      const auto to = static_cast<size_t>(i);
      d.value[to] = given.state[row + to];
      d.size[to] = std::abs(d.value[to]);
      if (G > 0) later[static_cast<size_t>(i / V % G)] += d.size[to] * states.size.state[row + to];
    }
    for (int64_t t = s.count - 1; t >= 0; --t) step(s, t, head, kh, vh, d, later);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) all.state.add(row + i, d.value[i], d.size[i]);
  }

  void step(const Sequence& s, int64_t t, int64_t head, int64_t kh, int64_t vh, Sized& d, std::vector<double>& later) {
    const int64_t token = s.b * p.T + s.first + t;
    const auto add_later = [&](int64_t c, double size) {
      if (G > 0) later[static_cast<size_t>(c % G)] += size;
    };
    for (int64_t h = 0; h < HO; ++h) {
      if (shared_head(p, h, HO, HS) != head) continue;
      const int64_t qh = shared_head(p, h, HO, p.HQ);
      Feature q = map_query(p, qh, s.position + t, &p.q[static_cast<size_t>((token * p.HQ + qh) * p.D)]);
      if (p.unit_queries) q = over_length(q, p.scale, p.eps);
      for (int64_t c = 0; c < K; ++c) {
        const size_t m = static_cast<size_t>(c);
        double sum = 0, size = 0;
        for (int64_t e = 0; e < V; ++e) {
          const double d_o = given.o[static_cast<size_t>((token * HO + h) * V + e)];
          const size_t after = static_cast<size_t>((token * HS + head) * K * V) + at(c, e);
          sum += states.value.snapshots[after] * d_o;
          size += states.size.snapshots[after] * std::abs(d_o);
          d.value[at(c, e)] += q.value[m] * d_o;
          d.size[at(c, e)] += q.size[m] * std::abs(d_o);
        }
        all.q.add(static_cast<size_t>((token * p.HQ + qh) * K + c), sum, size);
        add_later(c, q.size[m] * size);
      }
    }

    Feature k = map_key(p, kh, s.position + t, &p.k[static_cast<size_t>((token * p.HK + kh) * p.key_width())], {});
    if (p.unit_keys) k = over_length(k, 1, p.eps);
    const auto place = static_cast<size_t>(token * HS + head);
    const double raw = p.beta[place], most = p.reflects ? 2 : 1, sigmoid = 1 / (1 + std::exp(-raw));
    const bool out_of_range = p.clamp && (raw < 0 || raw > most) && !p.sigmoid;
    const double beta = p.sigmoid      ? most * sigmoid
                        : out_of_range ? (raw < 0 ? 0 : most)
                                       : raw,
                 slope = p.sigmoid      ? most * sigmoid / (1 + std::exp(raw))
                         : out_of_range ? 0
                                        : 1;
    const double length = norm(k.size), stretch = std::max(1.0, std::abs(1 - beta * norm(k.value) * norm(k.value)));
    const Sized before = decayed(s, t, head);
    double by_beta = 0, by_beta_size = 0;
    std::vector<double> by_key(static_cast<size_t>(K)), by_key_size(by_key), by_gate(by_key);
    for (int64_t e = 0; e < V; ++e) {
      // what the value differs by, and what that is given
      const size_t v_at = static_cast<size_t>((token * p.HV + vh) * V + e);
      double x = p.v[v_at], x_size = std::abs(x), d_x = 0, d_x_size = 0, most_of_column = 0;
      std::vector<double> column;
      for (int64_t c = 0; c < K; ++c) {
        const size_t m = static_cast<size_t>(c);
        x -= k.value[m] * before.value[at(c, e)];
        x_size += k.size[m] * before.size[at(c, e)];
        d_x += k.value[m] * d.value[at(c, e)];
        d_x_size += k.size[m] * d.size[at(c, e)];
        column.push_back(d.value[at(c, e)]);
        most_of_column = std::max(most_of_column, d.size[at(c, e)]);
      }
      all.v.add(v_at, beta * d_x, std::abs(beta) * d_x_size);
      by_beta += x * d_x;
      by_beta_size += x_size * d_x_size;
      for (int64_t c = 0; c < K; ++c) {
        const size_t m = static_cast<size_t>(c), i = at(c, e);
        by_key[m] += beta * (d.value[i] * x - before.value[i] * d_x);
        by_key_size[m] +=
            std::abs(beta) * ((d.size[i] + k.size[m] * std::abs(beta) * d_x_size) * x_size + before.size[i] * d_x_size);
        d.value[i] -= k.value[m] * beta * d_x;
        // rows mix, as those of the state do
        d.size[i] = stretch * most_of_column + length * std::abs(beta) * length * norm(column);
        by_gate[m] += before.value[i] * d.value[i];
      }
    }
    all.beta.add(place, slope * by_beta, slope * by_beta_size);
    for (int64_t c = 0; c < K; ++c) {
      const size_t m = static_cast<size_t>(c);
      all.k.add(static_cast<size_t>((token * p.HK + kh) * K + c), by_key[m], by_key_size[m]);
      add_later(c, k.size[m] * by_key_size[m]);
    }
    for (int64_t c = 0; c < K && G > 0; ++c) {
      const size_t g = static_cast<size_t>((token * HS + head) * G + c % G);
      const bool clamped = p.clamp && p.gate[g] > 0;
      all.gate.add(g, clamped ? 0 : by_gate[static_cast<size_t>(c)], c < G ? later[static_cast<size_t>(c)] : 0);
    }
    for (int64_t c = 0; c < K; ++c)
      for (int64_t e = 0; e < V; ++e) {
        const double a = std::exp(gate(token, head, c));
        d.value[at(c, e)] *= a;
        d.size[at(c, e)] *= a;
      }
  }

  const Problem& p;
  const Given& given;
  const int64_t K = map_width(p), V = p.V, HS = p.state_heads(), HO = p.out_heads(), G = gate_width(p);
  Answers states;
};

}  // namespace

MappedGradients backward_of_delta(const Problem& p, const Given& given) { return DeltaBackward(p, given).all; }

}  // namespace reference
