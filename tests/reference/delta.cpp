// The delta rule, with nothing decaying (DeltaNet) or a gate for each token and head (Gated DeltaNet): a token adds
// what its value differs by from what the state, decayed, has for its key, in part: beta.
#include <algorithm>
#include <cmath>

#include "reference.h"

namespace reference {

double norm(const std::vector<double>& x) {
  double squares = 0;
  for (const double y : x) squares += y * y;
  return std::sqrt(squares);
}

namespace {

double beta_of(const Problem& p, int64_t token, int64_t head) {
  const double given = p.beta[static_cast<size_t>(token * p.state_heads() + head)], largest = p.reflects ? 2 : 1;
  const double beta = p.sigmoid ? largest / (1 + std::exp(-given)) : given;
  return p.clamp ? (beta < 0 ? 0 : beta > largest ? largest : beta) : beta;
}

Correct rule(const Problem& p) {
  return [&p](int64_t token, int64_t head, const Feature& k, const double* v, const std::vector<double>& state) {
    const double beta = beta_of(p, token, head), length = norm(k.value), key_size = norm(k.size);
    Correction x;
    for (int64_t e = 0; e < p.V; ++e) {
      double has = 0;
      std::vector<double> column;
      for (size_t c = 0; c < k.value.size(); ++c) {
        column.push_back(state[c * static_cast<size_t>(p.V) + static_cast<size_t>(e)]);
        has += k.value[c] * column.back();
      }
      x.value.push_back(beta * (v[e] - has));
      x.size.push_back(std::abs(beta) * (std::abs(v[e]) + key_size * norm(column)));
    }
    // the state is multiplied by I - beta k k^T
    x.stretch = std::max(1.0, std::abs(1 - beta * length * length));
    return x;
  };
}

Answers delta(const Problem& p) {
  return scan(
      p, [](int64_t, int64_t, int64_t) { return 1.0; }, {}, rule(p));
}
Answers gated(const Problem& p) { return scan(p, left_by_gates(p), {}, rule(p)); }

const AnnounceVariant bare("delta", {.causal = delta, .epsilons = 10, .takes_beta = true});
const AnnounceVariant per_head("gated_delta",
                               {.causal = gated, .epsilons = 10, .takes_gate = true, .takes_beta = true});
const AnnounceVariant per_key("kda", {.causal = gated, .epsilons = 10, .takes_key_gates = true, .takes_beta = true});

}  // namespace
}  // namespace reference
