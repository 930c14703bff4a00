// Running a plan: units of work over (sequence, heads), each on one worker.
#pragma once

#include <functional>
#include <vector>

#include "worker.h"

namespace lathe {

void run_causal(Worker& worker, const Unit& unit);
void run_noncausal(Worker& worker, const Unit& unit);  // and accumulate, and readout
void run_decode(Worker& worker, const Unit& unit);
// One sequence's worth of run_decode, for causal calls that hold one-token sequences.
void decode_sequence(Worker& worker, const Sequence& sequence, int64_t head, int64_t heads);

// What a call keeps lists in: they grow to what the calls of a context need, and a call like the last allocates
// nothing.
struct Room {
  std::vector<Worker> workers;
  std::vector<Worker::Rows> rows;
  SlotList slots;
};

size_t workspace_bytes(const Plan& plan, const Problem& problem);
using Parallel = std::function<void(int, const std::function<void(int)>&)>;

// One head on several workers, where each can have columns of its own: nothing passes between them, but each maps keys
// and queries and computes scores for itself. The same bits as run_causal, as columns do not depend on each other.
bool wants_columns(const Plan& plan, const Problem& problem, int64_t units);
void run_columns(std::vector<Worker>& workers, const Parallel& parallel);

void run(const Plan& plan, const Problem& problem, char* workspace, const Parallel& parallel, Room& room);

}  // namespace lathe
