// The causal recurrence, which is also what decode computes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "reference.h"

namespace reference {

int64_t shared_head(const Problem& p, int64_t h, int64_t more, int64_t fewer) {
  return p.tiled ? h % fewer : h / (more / fewer);
}

std::vector<Sequence> sequences(const Problem& p) {
  std::vector<Sequence> out;
  for (int64_t n = 0; n < p.sequences(); ++n) {
    const bool packed = !p.cu_seqlens.empty();
    const int64_t first = packed ? p.cu_seqlens[n] : 0, extent = packed ? p.cu_seqlens[n + 1] - first : p.T;
    out.push_back({packed ? 0 : n, first, p.lengths.empty() ? extent : p.lengths[n], extent,
                   p.position.empty() ? 0 : p.position[n], p.slots.empty() ? n : p.slots[n]});
  }
  return out;
}

Answers initial_answers(const Problem& p) {
  const auto rows = static_cast<size_t>(p.rows());
  const auto K = static_cast<size_t>(map_width(p)), V = static_cast<size_t>(p.V);
  const auto HS = static_cast<size_t>(p.state_heads()), HK = static_cast<size_t>(p.HK);
  Answers a;
  a.value.o.assign(static_cast<size_t>(p.B * p.queries() * p.out_heads()) * V, 0);
  a.value.state = p.state.empty() ? std::vector<double>(rows * HS * K * V) : p.state;
  a.value.z = p.z.empty() ? std::vector<double>(rows * HK * K) : p.z;
  a.value.stabiliser = p.stabiliser;
  if (p.stabilise && p.stabiliser.empty())
    a.value.stabiliser.assign(rows * HK, -std::numeric_limits<double>::infinity());
  if (p.snapshots) a.value.snapshots.assign(static_cast<size_t>(p.B * p.T) * HS * K * V, 0);
  if (variants().at(p.variant).takes_momentum)
    a.value.momentum = p.momentum.empty() ? std::vector<double>(a.value.state.size()) : p.momentum;
  if (variants().at(p.variant).adapts)
    a.value.last = p.last.empty() ? std::vector<double>(rows * HS * (K + V)) : p.last;
  a.size = a.value;
  for (auto* part : {&a.size.state, &a.size.z, &a.size.stabiliser, &a.size.momentum, &a.size.last})
    for (double& y : *part) y = std::abs(y);
  return a;
}

void read_out(const Problem& p, const Feature& q, const double* state, const double* state_size, const double* z,
              const double* z_size, double* o, double* o_size) {
  const auto K = static_cast<int64_t>(q.value.size());
  double denominator = 1, denominator_size = 0;
  if (p.normalise) {
    double sum = 0;
    for (int64_t c = 0; c < K; ++c) {
      sum += q.value[c] * z[c];
      denominator_size += q.size[c] * z_size[c];
    }
    denominator_size += std::abs(p.eps);
    // Written so that a NaN is kept.
    denominator = !p.denom_max ? sum + p.eps : sum < p.eps ? p.eps : sum;
  }
  for (int64_t e = 0; e < p.V; ++e) {
    double sum = 0, size = 0;
    for (int64_t c = 0; c < K; ++c) {
      sum += q.value[c] * state[c * p.V + e];
      size += q.size[c] * state_size[c * p.V + e];
    }
    o[e] = sum / denominator;
    o_size[e] = (size + std::abs(o[e]) * denominator_size) / std::abs(denominator);
  }
}

namespace {

// What decays may leave below the smallest normal number of float32 counts as nothing there: in 30 epsilons or more.
constexpr double kNothing = 0x1p-102;

// One key and value joining the state of one head.
struct Memory {
  std::vector<double> state, state_size, z, z_size;
  Maximum maximum;
  std::vector<double> state_ever = state_size, z_ever = z_size;  // the sizes, had nothing decayed

  void scale(double factor, int64_t V) {
    for (int64_t c = 0; c < static_cast<int64_t>(z.size()); ++c) decay(c, factor, V);
  }
  // Of one key dimension.
  void decay(int64_t c, double factor, int64_t V) {
    const auto shrink = [factor](double& y, double& size, double ever) {
      y *= factor;
      size = std::max(size * factor, kNothing * ever);
    };
    shrink(z[c], z_size[c], z_ever[c]);
    for (int64_t i = c * V; i < (c + 1) * V; ++i) shrink(state[i], state_size[i], state_ever[i]);
  }
  // Rows mix, and an error in one becomes one in all others: the size of each is that of its column, of which the key
  // has its length at most.
  void add(const Feature& k, const Correction& x, int64_t V) {
    const double length = norm(k.size);
    for (auto* size : {&state_size, &state_ever})
      for (int64_t e = 0; e < V; ++e) {
        double most = 0;
        for (size_t i = static_cast<size_t>(e); i < size->size(); i += static_cast<size_t>(V))
          most = std::max(most, (*size)[i]);
        for (size_t i = static_cast<size_t>(e); i < size->size(); i += static_cast<size_t>(V))
          (*size)[i] = x.stretch * most + length * x.size[static_cast<size_t>(e)];
      }
    for (size_t i = 0; i < state.size(); ++i)
      state[i] += k.value[i / static_cast<size_t>(V)] * x.value[i % static_cast<size_t>(V)];
  }
  // The same beside what is left of each row. An error may go from a row to those that are left nothing.
  void turn(const std::vector<double>& left, const Moved& by, int64_t V) {
    for (size_t i = 0; i < state.size(); ++i) state[i] *= left[i / static_cast<size_t>(V)];
    add(by.row, by.read, V);
  }
  void add(const Feature& k, const double* v, int64_t V) {
    for (size_t c = 0; c < k.value.size(); ++c) {
      z[c] += k.value[c];
      for (auto* size : {&z_size, &z_ever}) (*size)[c] += k.size[c];
      for (int64_t e = 0; e < V; ++e) {
        const size_t i = c * static_cast<size_t>(V) + static_cast<size_t>(e);
        state[i] += k.value[c] * v[e];
        for (auto* size : {&state_size, &state_ever}) (*size)[i] += k.size[c] * std::abs(v[e]);
      }
    }
  }
};

std::vector<double> part(const std::vector<double>& all, int64_t index, int64_t n) {
  return {all.begin() + index * n, all.begin() + (index + 1) * n};
}
void put(std::vector<double>& all, int64_t index, const std::vector<double>& piece) {
  std::copy(piece.begin(), piece.end(), all.begin() + index * static_cast<int64_t>(piece.size()));
}

}  // namespace

Feature over_length(Feature x, double multiple, double eps) {
  double square = 0, size = 0;
  for (size_t c = 0; c < x.value.size(); ++c) {
    square += x.value[c] * x.value[c] / (multiple * multiple);
    size += x.size[c] * x.size[c] / (multiple * multiple);
  }
  const double length = std::sqrt(square + eps);
  if (multiple == 0 || length == 0) return x;
  for (size_t c = 0; c < x.value.size(); ++c) {
    x.value[c] /= length;
    x.size[c] = x.size[c] / length + std::abs(x.value[c]) * std::sqrt(size) / length;
  }
  return x;
}

Answers scan(const Problem& p, const Decay& decay, const std::vector<double>& bonus, const Correct& correct,
             const Move& move) {
  const int64_t K = map_width(p), HS = p.state_heads(), HO = p.out_heads();
  const Answers start = initial_answers(p);
  const Maxima subtract = maxima(p);
  Answers a = start;
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < HS; ++head) {
      const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV);
      const int64_t at = s.state_row * HS + head, z_at = s.state_row * p.HK + kh;
      Memory m{part(start.value.state, at, K * p.V), part(start.size.state, at, K * p.V), part(start.value.z, z_at, K),
               part(start.size.z, z_at, K),
               p.stabilise ? Maximum{start.value.stabiliser[z_at], start.size.stabiliser[z_at]} : Maximum{}};
      for (int64_t i = 0; i < s.count; ++i) {
        const int64_t token = s.b * p.T + s.first + i;
        const double* k = &p.k[(token * p.HK + kh) * p.key_width()];
        const Maximum& maximum = subtract.k[static_cast<size_t>(token * p.HK + kh)];
        if (maximum.value > m.maximum.value) m.scale(std::exp(m.maximum.value - maximum.value), p.V);
        m.maximum = maximum;
        Feature feature = map_key(p, kh, s.position + i, k, m.maximum);
        if (p.unit_keys) feature = over_length(feature, 1, p.eps);
        const double* v = &p.v[(token * p.HV + vh) * p.V];
        Memory before;
        if (!bonus.empty()) {
          before = m;
          Feature weighed = feature;
          for (int64_t c = 0; c < K; ++c) {
            weighed.value[c] *= bonus[head * K + c];
            weighed.size[c] *= std::abs(bonus[head * K + c]);
          }
          before.add(weighed, v, p.V);
        }
        if (move) {
          std::vector<double> left;
          for (int64_t c = 0; c < K; ++c) left.push_back(decay(token, head, c));
          m.turn(left, move(token, head, m.state), p.V);
        } else {
          for (int64_t c = 0; c < K; ++c) m.decay(c, decay(token, head, c), p.V);
        }
        if (correct)
          m.add(feature, correct(token, head, feature, v, m.state), p.V);
        else
          m.add(feature, v, p.V);
        const Memory& read = bonus.empty() ? m : before;
        if (p.snapshots) {
          put(a.value.snapshots, token * HS + head, m.state);
          put(a.size.snapshots, token * HS + head, m.state_size);
        }
        for (int64_t h = 0; h < HO; ++h) {
          if (shared_head(p, h, HO, HS) != head) continue;
          const int64_t qh = shared_head(p, h, HO, p.HQ), out = (token * HO + h) * p.V;
          const int64_t row = token * p.HQ + qh;
          Feature q = map_query(p, qh, s.position + i, &p.q[row * p.D], subtract.q[static_cast<size_t>(row)]);
          if (p.unit_queries) q = over_length(q, p.scale, p.eps);
          read_out(p, q, read.state.data(), read.state_size.data(), read.z.data(), read.z_size.data(), &a.value.o[out],
                   &a.size.o[out]);
        }
      }
      put(a.value.state, at, m.state);
      put(a.size.state, at, m.state_size);
      put(a.value.z, z_at, m.z);
      put(a.size.z, z_at, m.z_size);
      if (p.stabilise) {
        a.value.stabiliser[z_at] = m.maximum.value;
        a.size.stabiliser[z_at] = m.maximum.size;
      }
    }
  return a;
}

namespace {

Answers plain(const Problem& p) {
  return scan(p, [](int64_t, int64_t, int64_t) { return 1.0; });
}
const AnnounceVariant announced("plain", {.causal = plain, .epsilons = 10});

}  // namespace

std::map<std::string, Variant>& variants() {
  static std::map<std::string, Variant> all;
  return all;
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const auto& [name, variant] : variants()) names.push_back(name);
  return names;
}

std::vector<std::string> recurrent_variants() {
  std::vector<std::string> names;
  for (const auto& [name, variant] : variants())
    if (!variant.knows_length) names.push_back(name);
  return names;
}

const std::vector<std::vector<double> Problem::*>& rows_of_tokens() {
  static const std::vector<std::vector<double> Problem::*> all = {&Problem::q,    &Problem::k,  &Problem::v,
                                                                  &Problem::gate, &Problem::dt, &Problem::out_gate,
                                                                  &Problem::beta, &Problem::a,  &Problem::b};
  return all;
}

int64_t gate_width(const Problem& p) {
  const Variant& variant = variants().at(p.variant);
  return variant.takes_key_gates ? map_width(p) : variant.takes_gate ? 1 : 0;
}

Answers causal(const Problem& p) { return variants().at(p.variant).causal(p); }

}  // namespace reference
