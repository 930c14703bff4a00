// What the Momentum Transformer's authors train with: the plain scan of values that count by how much momentum they
// would have given the state by the end of their sequence. The normaliser counts keys as they are.
#include <cmath>

#include "mapped_gradients.h"
#include "momentum.h"

namespace reference {
namespace {

// Each value by its own weight, and the weights of all tokens and state heads; tokens of no sequence have none.
struct Weighed {
  Problem plain;
  std::vector<double> weights;
};

Weighed weighed(const Problem& p) {
  const int64_t H = p.state_heads();
  Weighed all{p, std::vector<double>(static_cast<size_t>(p.B * p.T * H))};
  all.plain.variant = "plain";
  for (auto* part : {&all.plain.decay, &all.plain.step_size}) part->clear();
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < H; ++head)
      for (int64_t i = 0; i < s.count; ++i) {
        double sum = 0;
        for (int64_t n = 0; n < s.count - i; ++n) sum += std::pow(momentum_kept(p, head), n);
        all.weights[static_cast<size_t>((s.b * p.T + s.first + i) * H + head)] =
            p.step_size[static_cast<size_t>(head)] * sum;
      }
  for (size_t i = 0; i < p.v.size(); ++i) all.plain.v[i] *= all.weights[i / static_cast<size_t>(p.V)];
  return all;
}

Answers momentum_training(const Problem& p) { return variants().at("plain").causal(weighed(p).plain); }

const AnnounceVariant announced(
    "momentum_training", {.causal = momentum_training, .epsilons = 10, .takes_decay = true, .knows_length = true});

}  // namespace

GradientAnswers backward_of_training(const Problem& p, const Given& given) {
  const Weighed inner = weighed(p);
  GradientAnswers all = backward(inner.plain, given, true);
  for (size_t i = 0; i < all.value.v.size(); ++i) {
    const double weight = inner.weights[i / static_cast<size_t>(p.V)];
    all.value.v[i] *= weight;
    all.size.v[i] *= std::abs(weight);
  }
  return all;
}

}  // namespace reference
