#include <cmath>
#include <functional>
#include <set>

#include "mapped_gradients.h"

namespace reference {
namespace {

struct Pairs : MappedGradients {
  const Problem& p;
  const Given& given;
  bool causal;
  Pairs(const Problem& problem, const Given& gradients, bool is_causal)
      : p(problem), given(gradients), causal(is_causal) {
    run();
  }

  int64_t K = map_width(p), V = p.V, HS = p.state_heads(), HO = p.out_heads();
  int64_t G = std::max<int64_t>(gate_width(p), 1);  // gates of a token and head: one, or K
  int64_t lag = p.bonus.empty() ? 0 : 1;            // a query reads the state before its token
  Maxima subtract = maxima(p);

  void run() {
    const auto tokens = static_cast<size_t>(p.B * p.T), queries = static_cast<size_t>(p.B * p.queries());
    q.assign(queries * static_cast<size_t>(p.HQ * K));
    k.assign(tokens * static_cast<size_t>(p.HK * K));
    v.assign(tokens * static_cast<size_t>(p.HV * V));
    gate.assign(tokens * static_cast<size_t>(HS * G));
    bonus.assign(p.bonus.size());
    state.assign(static_cast<size_t>(p.rows() * HS * K * V));
    z.assign(static_cast<size_t>(p.rows() * p.HK * K));
    for (const Sequence& s : sequences(p))
      for (int64_t head = 0; head < HS; ++head) walk(s, head);
  }

  double given_gate(int64_t token, int64_t head, int64_t c) const {
    return !p.decay.empty()  ? p.decay[static_cast<size_t>(head)]
           : !p.gate.empty() ? p.gate[static_cast<size_t>((token * HS + head) * G + c)]
                             : 0;
  }

  // exp of the sums of a head's log gates over tokens from + 1 to `to`, each for itself, and of what the maximum has
  // risen by since.
  struct Weights {
    int64_t T, G;
    std::vector<double> all;
    Weights(int64_t tokens, int64_t gates, const std::function<double(int64_t, int64_t)>& log_decay,
            const std::function<double(int64_t)>& maximum)
        : T(tokens), G(gates), all(static_cast<size_t>(G * (T + 1) * (T + 1))) {
      for (int64_t c = 0; c < G; ++c)
        for (int64_t from = -1; from < T; ++from) {
          double sum = 0;
          for (int64_t to = from; to < T; ++to) {
            if (to > from) sum += log_decay(to, c);
            const double before = maximum(from);
            all[index(from, to, c)] = std::isinf(before) ? 0 : std::exp(sum) * std::exp(before - maximum(to));
          }
        }
    }
    size_t index(int64_t from, int64_t to, int64_t c) const {
      return static_cast<size_t>(((G == 1 ? 0 : c) * (T + 1) + from + 1) * (T + 1) + to + 1);
    }
    double operator()(int64_t from, int64_t to, int64_t c) const { return all[index(from, to, c)]; }
  };

  void walk(const Sequence& s, int64_t head) {
    const int64_t kh = shared_head(p, head, HS, p.HK), vh = shared_head(p, head, HS, p.HV), T = s.count;
    const bool first_of_keys = [&] {
      for (int64_t other = 0; other < head; ++other)
        if (shared_head(p, other, HS, p.HK) == kh) return false;
      return true;
    }();
    const size_t state_at = static_cast<size_t>((s.state_row * HS + head) * K * V),
                 z_at = static_cast<size_t>((s.state_row * p.HK + kh) * K);
    std::vector<Feature> keys;
    for (int64_t j = 0; j < T; ++j) {
      const int64_t token = s.b * p.T + s.first + j;
      const auto row = static_cast<size_t>(token * p.HK + kh);
      keys.push_back(map_key(p, kh, s.position + j, &p.k[row * static_cast<size_t>(p.key_width())], subtract.k[row]));
    }
    const double entering = p.stabilise ? initial_answers(p).value.stabiliser[z_at / static_cast<size_t>(K)] : 0;
    const Weights weight(
        T, G,
        [&](int64_t t, int64_t c) {
          const double g = given_gate(s.b * p.T + s.first + t, head, c);
          return p.clamp && g > 0 ? 0 : g;
        },
        [&](int64_t t) {
          return t < 0 ? entering : subtract.k[static_cast<size_t>((s.b * p.T + s.first + t) * p.HK + kh)].value;
        });
    const auto own = [&](int64_t c) { return p.bonus[static_cast<size_t>(head * K + c)]; };
    // through each gate: what begins there, less what ends
    std::vector<double> flows(static_cast<size_t>((T + 1) * G));
    const auto through = [&](int64_t from, int64_t to, int64_t c, double flow) {
      flows[static_cast<size_t>(from * G + c % G)] += flow;
      flows[static_cast<size_t>((to + 1) * G + c % G)] -= flow;
    };
    const auto at = [](const std::vector<double>& all, size_t i) { return all.empty() ? 0 : all[i]; };

    // from a number (c, e) of the state and c of the normaliser, weighed by w, to whatever they came from
    const auto row_v = [&](int64_t j) { return static_cast<size_t>(((s.b * p.T + s.first + j) * p.HV + vh) * V); };
    const auto row_k = [&](int64_t j) { return static_cast<size_t>(((s.b * p.T + s.first + j) * p.HK + kh) * K); };

    const int64_t Tq = p.TQ < 0 ? T : p.queries();
    for (int64_t h = 0; h < HO; ++h) {
      if (shared_head(p, h, HO, HS) != head) continue;
      const int64_t qh = shared_head(p, h, HO, p.HQ);
      for (int64_t i = 0; i < Tq; ++i) {
        const int64_t token = s.b * p.queries() + s.first + i;
        const auto row = static_cast<size_t>(token * p.HQ + qh);
        const Feature query = map_query(p, qh, s.position + i, &p.q[row * static_cast<size_t>(p.D)], subtract.q[row]);
        const double* d_o = &given.o[static_cast<size_t>((token * HO + h) * V)];
        const int64_t last = causal ? i : T - 1;
        const auto left = [&](int64_t j, int64_t c) { return lag == 1 && j == i ? own(c) : weight(j, last - lag, c); };
        std::vector<double> numerator(static_cast<size_t>(V)), products(static_cast<size_t>(T)),
            product_sizes(static_cast<size_t>(T));
        double sum = 0, sum_size = 0;
        for (int64_t c = 0; c < K; ++c) {
          const size_t n = static_cast<size_t>(c);
          const double w = left(-1, c) * query.value[n], w_size = left(-1, c) * query.size[n];
          sum += w * at(p.z, z_at + n);
          sum_size += w_size * std::abs(at(p.z, z_at + n));
          for (int64_t e = 0; e < V; ++e)
            numerator[static_cast<size_t>(e)] += w * at(p.state, state_at + static_cast<size_t>(c * V + e));
        }
        for (int64_t j = 0; j <= last; ++j) {
          const size_t n = static_cast<size_t>(j);
          for (int64_t c = 0; c < K; ++c) {
            const size_t m = static_cast<size_t>(c);
            products[n] += left(j, c) * query.value[m] * keys[n].value[m];
            product_sizes[n] += std::abs(left(j, c)) * query.size[m] * keys[n].size[m];
          }
          sum += products[n];
          sum_size += product_sizes[n];
          for (size_t e = 0; e < static_cast<size_t>(V); ++e) numerator[e] += products[n] * p.v[row_v(j) + e];
        }
        double denominator = 1, unsure = 0;
        bool bounded = false;
        if (p.normalise) {
          bounded = p.denom_max && sum < p.eps;
          denominator = bounded ? p.eps : p.denom_max ? sum : sum + p.eps;
          unsure = (sum_size + p.eps) / std::abs(denominator);
        }
        std::vector<double> d_num(static_cast<size_t>(V)), d_num_size(static_cast<size_t>(V));
        double d_den = 0, d_den_size = 0;
        for (size_t e = 0; e < static_cast<size_t>(V); ++e) {
          d_num[e] = d_o[e] / denominator;
          d_num_size[e] = std::abs(d_num[e]) * (1 + unsure);
          if (!p.normalise || bounded) continue;
          d_den -= d_num[e] * numerator[e] / denominator;
        }
        if (p.normalise && !bounded) {
          // the library finds it through the products with values
          for (int64_t j = 0; j <= last; ++j)
            for (size_t e = 0; e < static_cast<size_t>(V); ++e)
              d_den_size +=
                  std::abs(p.v[row_v(j) + e] / denominator) * product_sizes[static_cast<size_t>(j)] * d_num_size[e];
          for (int64_t c = 0; c < K; ++c)
            for (int64_t e = 0; e < V; ++e)
              d_den_size += left(-1, c) * query.size[static_cast<size_t>(c)] *
                            std::abs(at(p.state, state_at + static_cast<size_t>(c * V + e)) / denominator) *
                            d_num_size[static_cast<size_t>(e)];
          d_den_size *= 1 + unsure;
        }
        const size_t q_at = static_cast<size_t>((token * p.HQ + qh) * K);
        for (int64_t j = 0; j <= last; ++j) {
          double flow = d_den, flow_size = d_den_size;
          for (size_t e = 0; e < static_cast<size_t>(V); ++e) {
            flow += d_num[e] * p.v[row_v(j) + e];
            flow_size += d_num_size[e] * std::abs(p.v[row_v(j) + e]);
            v.add(row_v(j) + e, products[static_cast<size_t>(j)] * d_num[e],
                  product_sizes[static_cast<size_t>(j)] * d_num_size[e]);
          }
          const Feature& key = keys[static_cast<size_t>(j)];
          for (int64_t c = 0; c < K; ++c) {
            const size_t n = static_cast<size_t>(c);
            const double w = left(j, c), w_size = std::abs(w);
            q.add(q_at + n, w * flow * key.value[n], w_size * flow_size * key.size[n]);
            k.add(row_k(j) + n, w * flow * query.value[n], w_size * flow_size * query.size[n]);
            if (lag == 1 && j == i)
              bonus.add(static_cast<size_t>(head * K + c), flow * query.value[n] * key.value[n],
                        flow_size * query.size[n] * key.size[n]);
            else if (causal)
              through(j + 1, i - lag, c, w * flow * query.value[n] * key.value[n]);
          }
        }
        for (int64_t c = 0; c < K; ++c) {
          const size_t n = static_cast<size_t>(c);
          const double w = left(-1, c);
          double flow = d_den * at(p.z, z_at + n), flow_size = d_den_size * std::abs(at(p.z, z_at + n));
          for (int64_t e = 0; e < V; ++e) {
            const size_t place = state_at + static_cast<size_t>(c * V + e), m = static_cast<size_t>(e);
            flow += at(p.state, place) * d_num[m];
            flow_size += std::abs(at(p.state, place)) * d_num_size[m];
            state.add(place, w * query.value[n] * d_num[m], w * query.size[n] * d_num_size[m]);
          }
          z.add(z_at + n, w * query.value[n] * d_den, w * query.size[n] * d_den_size);
          q.add(q_at + n, w * flow, w * flow_size);
          if (causal) through(0, i - lag, c, w * query.value[n] * flow);
        }
      }
    }

    // what the state that leaves gives to keys, values and the state that came
    for (int64_t j = -1; j < T; ++j) {
      for (int64_t c = 0; c < K; ++c) {
        const double w = weight(j, T - 1, c);
        double flow = 0;
        const size_t n = static_cast<size_t>(c);
        const double key = j < 0 ? 0 : keys[static_cast<size_t>(j)].value[n],
                     key_size = j < 0 ? 0 : keys[static_cast<size_t>(j)].size[n];
        const double of_z = first_of_keys ? at(given.z, z_at + n) : 0;
        double sum = of_z, size = std::abs(of_z);
        for (int64_t e = 0; e < V; ++e) {
          const size_t place = state_at + static_cast<size_t>(c * V + e), m = static_cast<size_t>(e);
          const double d = at(given.state, place);
          if (j < 0) {
            state.add(place, w * d, w * std::abs(d));
            flow += w * d * at(p.state, place);
            continue;
          }
          sum += d * p.v[row_v(j) + m];
          size += std::abs(d * p.v[row_v(j) + m]);
          v.add(row_v(j) + m, w * d * key, w * std::abs(d) * key_size);
        }
        if (j < 0) {
          z.add(z_at + n, w * of_z, w * std::abs(of_z));
          flow += w * of_z * at(p.z, z_at + n);
        } else {
          k.add(row_k(j) + n, w * sum, w * size);
          flow += w * sum * key;
        }
        if (causal && T > 0) through(j + 1, T - 1, c, flow);
      }
    }
    finish_gates(s, head, keys, flows);
  }

  // The library takes a gate's gradient for the difference of two sums over all later tokens.
  void finish_gates(const Sequence& s, int64_t head, const std::vector<Feature>& keys,
                    const std::vector<double>& flows) {
    const int64_t kh = shared_head(p, head, HS, p.HK);
    std::set<int64_t> query_heads;
    for (int64_t h = 0; h < HO; ++h)
      if (shared_head(p, h, HO, HS) == head) query_heads.insert(shared_head(p, h, HO, p.HQ));
    for (int64_t n = 0; n < G; ++n) {
      const int64_t first = G == 1 ? 0 : n, end = G == 1 ? K : n + 1;
      double all = 0, size = 0;
      std::vector<double> sums;
      for (int64_t t = 0; t < s.count; ++t) sums.push_back(all += flows[static_cast<size_t>(t * G + n)]);
      for (int64_t c = first; c < end; ++c) {
        for (int64_t e = 0; e < V && !given.state.empty(); ++e)
          size += std::abs(given.state[static_cast<size_t>((s.state_row * HS + head) * K * V + c * V + e)]) *
                  last_size(s, head, keys, c * V + e);
        if (given.z.empty()) continue;
        const size_t z_at = static_cast<size_t>((s.state_row * p.HK + kh) * K + c);
        double sum = p.z.empty() ? 0 : std::abs(p.z[z_at]);
        for (const Feature& key : keys) sum += key.size[static_cast<size_t>(c)];
        size += sum * std::abs(given.z[z_at]);
      }
      for (int64_t t = s.count - 1; t >= 0; --t) {
        const int64_t token = s.b * p.T + s.first + t;
        for (const int64_t h : query_heads) {
          const Feature query = map_query(p, h, s.position + t, &p.q[static_cast<size_t>((token * p.HQ + h) * p.D)]);
          for (int64_t c = first; c < end; ++c)
            size += query.size[static_cast<size_t>(c)] * q.size[static_cast<size_t>((token * p.HQ + h) * K + c)];
        }
        for (int64_t c = first; c < end; ++c)
          size += keys[static_cast<size_t>(t)].size[static_cast<size_t>(c)] *
                  k.size[static_cast<size_t>((token * p.HK + kh) * K + c)];
        const bool clamped = p.clamp && given_gate(token, head, n) > 0;
        gate.add(static_cast<size_t>((token * HS + head) * G + n), clamped ? 0 : sums[static_cast<size_t>(t)], size);
      }
    }
  }

  // Of the number c of the last state, had nothing decayed.
  double last_size(const Sequence& s, int64_t head, const std::vector<Feature>& keys, int64_t c) const {
    const int64_t vh = shared_head(p, head, HS, p.HV);
    double size = p.state.empty() ? 0 : std::abs(p.state[static_cast<size_t>((s.state_row * HS + head) * K * V + c)]);
    for (int64_t j = 0; j < s.count; ++j)
      size += keys[static_cast<size_t>(j)].size[static_cast<size_t>(c / V)] *
              std::abs(p.v[static_cast<size_t>(((s.b * p.T + s.first + j) * p.HV + vh) * V + c % V)]);
    return size;
  }
};

}  // namespace

GradientAnswers backward(const Problem& p, const Given& given, bool causal) {
  const Variant& variant = variants().at(p.variant);
  if (variant.takes_steps) return backward_of_steps(p, given);
  if (variant.knows_length) return backward_of_training(p, given);
  return through_maps(p, variant.takes_beta       ? backward_of_delta(p, given)
                         : variant.takes_momentum ? backward_of_momentum(p, given)
                                                  : Pairs(p, given, causal));
}

}  // namespace reference
