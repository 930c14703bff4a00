// A plan: the description understood, the kernels chosen, the sizes of a worker's scratch. Immutable once made.
#pragma once

#include <string>

#include "contents.h"
#include "registry.h"

namespace lathe {

// Those that the operator is made of; nullptr for the others.
struct Kernels {
  const Entry *causal, *state, *readout, *key_sum, *key_step, *fixed_denominator, *decode, *recall, *map, *transpose;
  const Entry *gate_sums, *gate_queries, *gate_keys, *gate_pairs, *decode_keys, *recall_more, *update_keys,
      *exponentials;
  const Entry *recurrence, *recurrence_keys, *recurrence_sums, *recurrence_state, *recurrence_one, *recurrence_pairs,
      *recurrence_pairs_keys, *gate_factors, *gate_steps, *weighed_dots, *peaks;
  const Entry *delta_solve, *delta_values, *decode_delta, *decode_rank_one, *decode_momentum;
  const Entry *running_sums, *row_dots, *weigh_rows, *add_rows, *map_backward, *outer, *denominator_slopes;
  const Entry *causal_columns, *running_key_sums, *gate_gradients, *add_products, *row_sums;
  const Entry *gather[3], *scatter[3], *decay_sums[3], *decay_step[3], *step_sums[3];  // of devices, by Storage
  const Entry *carry, *states, *later_sums, *unit_rows, *clamp_rows, *momentum_weights, *adaptive_rows, *adaptive_moved,
      *later_rows, *clamped_slopes, *step_slopes, *sum_step, *decode_before, *running_peaks, *peak_sums, *peak_rows,
      *entered_rows;  // of devices
  const Entry *softplus, *skip_rows, *gate_rows, *gate_slopes;
  // By Storage. None for float32, nor for what was cut out; a map may read nothing but float32.
  const Entry *widen[3], *narrow[3], *map_from[3];
};

// Padded extents, in floats.
struct Padded {
  int64_t D, M, K, V;
  int64_t C;        // tokens of a chunk
  int64_t V_grain;  // kernels take any block of columns that is a multiple of this
  int64_t M_back;   // M, as the tiles of map_backward have it
};

struct Plan {
  Meaning meaning;
  Sizes sizes;  // kFree where a run decides
  int32_t device;
  std::array<Storage, kRoles> storage;
  std::array<bool, kRoles> present;
  ChosenRow row;
  Kernels kernels;
  Padded padded;
  int threads;
  // Of a state that a worker carries; its momentum lies behind it.
  const float* momentum_of(const float* state) const { return state + padded.K * padded.V; }
  float* momentum_of(float* state) const { return state + padded.K * padded.V; }
  // Behind that, where the momentum adapts, what the next token wants of the last one: its key, then its value, padded.
  float* last_key_of(float* state) const { return state + 2 * padded.K * padded.V; }
  float* last_value_of(float* state) const { return last_key_of(state) + padded.K; }
  int64_t state_floats() const {
    return padded.K * padded.V * (meaning.variant->moves() ? 2 : 1) +
           (meaning.variant->adapts() ? padded.K + padded.V : 0);
  }
};

Meaning understand(const lathe_desc& desc);
Plan make_plan(const lathe_desc& desc, const lathe_arg* args, size_t n_args, int threads);
// Binds the arguments of a run and checks that they are the ones planned for; see check_contents for `slots`.
Problem bind_run(const Plan& plan, const lathe_arg* args, size_t n_args, SlotList& slots);
std::string describe(const Plan& plan);

}  // namespace lathe

struct lathe_plan {
  lathe::Plan plan;
};
