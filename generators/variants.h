// Every variant, one row each: docs/operators.md. What a caller names; the library reads the rows.
//
// LATHE_VARIANT(name, transition, log_decay, inputs)
//   transition  the row of transitions.h whose kernels carry the state from one token to the next
//   log_decay   log of what a token leaves of the state of head h of H, never above 0; g is the head's DECAY or the
//               token's GATE, dt its step
//   inputs      what a call must bring besides: NONE, or tensors of lathe.h joined by |
LATHE_VARIANT(plain, plain, 0, NONE)
LATHE_VARIANT(decay, decay, g, DECAY)                        // RetNet, Lightning
LATHE_VARIANT(gate, decay, g, GATE)                          // simple GLA
LATHE_VARIANT(ssd, decay, dt == 0 ? 0 : g * dt, DECAY | DT)  // Mamba-2, whose values are weighed by their steps too
LATHE_VARIANT(gate_key, gate_key, g, GATE)                   // GLA, HGRN2
LATHE_VARIANT(rwkv6, gate_key, g, GATE | BONUS)          // reads the state before the token, and the token by its bonus
LATHE_VARIANT(delta, plain, 0, BETA)                     // DeltaNet
LATHE_VARIANT(gated_delta, decay, g, GATE | BETA)        // Gated DeltaNet
LATHE_VARIANT(kda, gate_key, g, GATE | BETA)             // Kimi Delta Attention
LATHE_VARIANT(rwkv7, gate_key, g, GATE | A | B)          // RWKV-7, DPLR: A reads the state, and B adds what it read
LATHE_VARIANT(momentum, momentum, g, DECAY | STEP_SIZE)  // Momentum Transformer, heavy ball: g is the momentum's
LATHE_VARIANT(adaptive_momentum, momentum, 0, STEP_SIZE)  // the same without a DECAY: what tokens leave of it they say
LATHE_VARIANT(momentum_training, plain, g, DECAY | STEP_SIZE)  // values weighed by the tokens that are still to come
#ifdef LATHE_EXTRA_VARIANTS
#include LATHE_EXTRA_VARIANTS
#endif
