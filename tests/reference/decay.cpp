// Constant decay per head (RetNet, Lightning): the normaliser, which counts mapped keys, decays as the state does.
#include <cmath>

#include "reference.h"

namespace reference {
namespace {

Answers decay(const Problem& p) {
  return scan(p, [&p](int64_t, int64_t head, int64_t) {
    const double g = p.decay[static_cast<size_t>(head)];
    return std::exp(p.clamp && g > 0 ? 0 : g);
  });
}

// a decay is raised to as many powers as there are tokens in a chunk
const AnnounceVariant announced("decay", {.causal = decay, .epsilons = 30, .takes_decay = true});

}  // namespace
}  // namespace reference
