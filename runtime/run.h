// Running a plan: units of work over (sequence, heads), each on one worker.
#pragma once

#include <functional>
#include <vector>

#include "worker.h"

namespace lathe {

void run_causal(Worker& worker, const Unit& unit);
void run_noncausal(Worker& worker, const Unit& unit);  // and accumulate, and readout
void run_causal_backward(Worker& worker, const Unit& unit);
void run_noncausal_backward(Worker& worker, const Unit& unit);
void run_decode(Worker& worker, const Unit& unit);
// One sequence's worth of run_decode, for causal calls that hold one-token sequences.
void decode_sequence(Worker& worker, const Sequence& sequence, int64_t head, int64_t heads);

// What a call keeps lists in: they grow to what the calls of a context need, and a call like the last allocates
// nothing.
struct Room {
  std::vector<Worker> workers;
  SlotList slots;
};

size_t workspace_bytes(const Plan& plan, const Problem& problem);
using Parallel = std::function<void(int, const std::function<void(int)>&)>;

// Causal calls with fewer heads than threads: one head after another, each on all workers.
bool wants_sharing(const Plan& plan, const Problem& problem, int64_t units);
void run_shared(std::vector<Worker>& workers, const Parallel& parallel);

void run(const Plan& plan, const Problem& problem, char* workspace, const Parallel& parallel, Room& room);

}  // namespace lathe
