// A gate for each token and head (simple GLA, Mamba-2): the normaliser, which counts mapped keys, shrinks as the state
// does.
#include <cmath>

#include "reference.h"

namespace reference {
namespace {

Answers gate(const Problem& p) {
  return scan(p, [&p](int64_t token, int64_t head) {
    const double g = p.gate[static_cast<size_t>(token * p.state_heads() + head)];
    return std::exp(p.clamp && g > 0 ? 0 : g);
  });
}

const AnnounceVariant announced("gate", {.causal = gate, .epsilons = 30, .takes_gate = true});

}  // namespace
}  // namespace reference
