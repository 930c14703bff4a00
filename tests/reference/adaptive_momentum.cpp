// The Momentum Transformer's heavy ball whose tokens say how much of it is left: the less, the further one token's k^T
// v lies from the one before it, beside how far the last step of the state went.
#include <algorithm>
#include <cmath>

#include "momentum.h"

namespace reference {
namespace {

constexpr double kEpsilon = 0x1p-23, kMost = 1 - 1e-4;

Adapted adapt(double step_size, const Feature& momentum, const KeyAndValue& token, const KeyAndValue& last) {
  const auto is_zero = [](double x) { return x == 0; };
  if (std::all_of(momentum.value.begin(), momentum.value.end(), is_zero)) return {0, 1};
  std::vector<double> apart, apart_size;
  for (size_t c = 0; c < token.k.value.size(); ++c)
    for (size_t e = 0; e < token.v.size(); ++e) {
      apart.push_back(token.k.value[c] * token.v[e] - last.k.value[c] * last.v[e]);
      apart_size.push_back(token.k.size[c] * std::abs(token.v[e]) + last.k.size[c] * std::abs(last.v[e]));
    }
  const double distance = norm(apart), length = norm(momentum.value);
  const double root = 1 - std::sqrt(step_size * distance / length), kept = root * root;
  // the slope of a root at 0 has no bound, but what is below an epsilon there is no further off
  const double near = std::max(distance, kEpsilon * norm(apart_size)), steps = std::sqrt(step_size * near / length),
               unsure = near == 0 ? 0 : norm(apart_size) / near + norm(momentum.size) / length;
  // each token rounds what it leaves, to a part of what is allowed in all
  const double slope = std::abs(1 - steps) * steps * unsure, rounded = 0.1;
  if (kept > kMost) return {kMost, step_size, rounded + (kept > 1.01 ? 0 : slope)};
  return {kept, step_size, rounded * kept + slope};
}

Answers adaptive_momentum(const Problem& p) {
  return heavy_ball(p, [&](int64_t head, const Feature& momentum, const KeyAndValue& token, const KeyAndValue& last) {
    return adapt(p.step_size[static_cast<size_t>(head)], momentum, token, last);
  });
}

const AnnounceVariant announced("adaptive_momentum",
                                {.causal = adaptive_momentum, .epsilons = 10, .takes_momentum = true, .adapts = true});

}  // namespace
}  // namespace reference
