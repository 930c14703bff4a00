// What happens to the state between two tokens. One row each, and whether all of its rows are left alike;
// docs/operators.md.
#pragma once

#include <string>

#define LATHE_TRANSITION(name, left)
LATHE_TRANSITION(plain, uniform)  // S_t = S_{t-1} + k v^T
LATHE_TRANSITION(decay, uniform)  // S_t = exp(g_t) S_{t-1} + k v^T, one g per token and head; a constant g is RetNet's
LATHE_TRANSITION(gate_key, rows)  // S_t = diag(exp g_t) S_{t-1} + k v^T, one g per token, head and key dimension
LATHE_TRANSITION(momentum, uniform)  // S_t = S_{t-1} - P_t, P_t = exp(g) P_{t-1} - c k v^T, one g and c per head
#undef LATHE_TRANSITION

namespace lathe::gen {

inline bool decays(const std::string& transition) { return transition == "decay"; }
inline bool gates_keys(const std::string& transition) { return transition == "gate_key"; }
inline bool has_momentum(const std::string& transition) { return transition == "momentum"; }

}  // namespace lathe::gen
