// Every query sees every key of its sequence: a sum over keys (accumulate), then a product per query (readout).
#include <cmath>

#include "reference.h"

namespace reference {

Answers accumulate(const Problem& p) {
  const int64_t K = map_width(p), HS = p.state_heads();
  const Maxima subtract = maxima(p);
  Answers a = initial_answers(p);
  for (const Sequence& s : sequences(p))
    for (int64_t i = 0; i < s.count; ++i) {
      const int64_t token = s.b * p.T + s.first + i;
      for (int64_t kh = 0; kh < p.HK; ++kh) {
        const double* x = &p.k[(token * p.HK + kh) * p.key_width()];
        const int64_t z_at = s.state_row * p.HK + kh;
        double rescale = 1;
        const Maximum& maximum = subtract.k[static_cast<size_t>(token * p.HK + kh)];
        if (p.stabilise) {
          if (maximum.value > a.value.stabiliser[z_at]) rescale = std::exp(a.value.stabiliser[z_at] - maximum.value);
          a.value.stabiliser[z_at] = maximum.value;
          a.size.stabiliser[z_at] = maximum.size;
        }
        const Feature k = map_key(p, kh, s.position + i, x, maximum);
        for (int64_t c = 0; c < K; ++c) {
          a.value.z[z_at * K + c] = rescale * a.value.z[z_at * K + c] + k.value[c];
          a.size.z[z_at * K + c] = rescale * a.size.z[z_at * K + c] + k.size[c];
        }
        for (int64_t head = 0; head < HS; ++head) {
          if (shared_head(p, head, HS, p.HK) != kh) continue;
          const double* v = &p.v[(token * p.HV + shared_head(p, head, HS, p.HV)) * p.V];
          for (int64_t c = 0; c < K; ++c)
            for (int64_t e = 0; e < p.V; ++e) {
              const int64_t at = ((s.state_row * HS + head) * K + c) * p.V + e;
              a.value.state[at] = rescale * a.value.state[at] + k.value[c] * v[e];
              a.size.state[at] = rescale * a.size.state[at] + k.size[c] * std::abs(v[e]);
            }
        }
      }
    }
  return a;
}

namespace {

// What each query reads from a, the answer so far.
Answers read_queries(const Problem& p, Answers a) {
  const Maxima subtract = maxima(p);
  const int64_t K = map_width(p), HS = p.state_heads(), HO = p.out_heads(), TQ = p.queries();
  for (const Sequence& s : sequences(p)) {
    // Where there are as many queries as keys they are the same tokens, and a length counts for both.
    const int64_t queries = TQ == p.T ? s.count : TQ;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t h = 0; h < HO; ++h) {
        const int64_t token = s.b * TQ + s.first + i, qh = shared_head(p, h, HO, p.HQ);
        const int64_t head = shared_head(p, h, HO, HS), kh = shared_head(p, head, HS, p.HK);
        const int64_t row = token * p.HQ + qh;
        const Feature q = map_query(p, qh, s.position + i, &p.q[row * p.D], subtract.q[static_cast<size_t>(row)]);
        const int64_t at = (s.state_row * HS + head) * K * p.V, z_at = (s.state_row * p.HK + kh) * K;
        const int64_t out = (token * HO + h) * p.V;
        read_out(p, q, &a.value.state[at], &a.size.state[at], &a.value.z[z_at], &a.size.z[z_at], &a.value.o[out],
                 &a.size.o[out]);
      }
  }
  return a;
}

}  // namespace

Answers noncausal(const Problem& p) { return read_queries(p, accumulate(p)); }

Answers readout(const Problem& p) { return read_queries(p, initial_answers(p)); }

Oracles operators() {
  return {{"causal", causal},
          {"decode", causal},
          {"noncausal", noncausal},
          {"accumulate", accumulate},
          {"readout", readout}};
}

std::vector<std::pair<std::string, std::string>> operators_and_variants() {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [op, oracle] : operators())
    for (const std::string& variant : op == "decode" ? recurrent_variants() : variant_names())
      if (oracle == causal || variant == "plain") pairs.emplace_back(op, variant);
  return pairs;
}

}  // namespace reference
