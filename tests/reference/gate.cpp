// A gate for each token and head (simple GLA, Mamba-2), or for each key dimension of it (GLA, HGRN2): the normaliser,
// which counts mapped keys, shrinks as the state does. RWKV-6 has the latter, and a query of it reads the state before
// its token, and that token's key with a weight of its own.
#include <cmath>

#include "reference.h"

namespace reference {

Decay left_by_gates(const Problem& p) {
  return [&p, width = gate_width(p)](int64_t token, int64_t head, int64_t c) {
    const double g = p.gate[static_cast<size_t>((token * p.state_heads() + head) * width + (width > 1 ? c : 0))];
    return std::exp(p.clamp && g > 0 ? 0 : g);
  };
}

namespace {

Answers gate(const Problem& p) { return scan(p, left_by_gates(p)); }
Answers rwkv6(const Problem& p) { return scan(p, left_by_gates(p), p.bonus); }

const AnnounceVariant per_head("gate", {.causal = gate, .epsilons = 30, .takes_gate = true});
const AnnounceVariant per_key("gate_key", {.causal = gate, .epsilons = 30, .takes_key_gates = true});
const AnnounceVariant bonus("rwkv6", {.causal = rwkv6, .epsilons = 30, .takes_key_gates = true, .takes_bonus = true});

}  // namespace
}  // namespace reference
