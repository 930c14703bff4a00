// Constant decay per head (RetNet, Lightning): the normaliser, which counts mapped keys, decays as the state does.
#include <cmath>

#include "reference.h"

namespace reference {

Answers causal_decay(const Problem& p) {
  return scan(p, [&p](int64_t head) { return std::exp(p.decay[static_cast<size_t>(head)]); });
}

}  // namespace reference
