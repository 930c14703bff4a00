// One head on more workers than have columns to themselves: the chunks of a window are shared out.
#pragma once

#include "run.h"

namespace lathe {

// Whether a causal call is better split this way: a long sequence, and more threads than units.
bool wants_windows(const Plan& plan, const Problem& problem, int64_t units);
size_t window_bytes(const Plan& plan, const Problem& problem);
// All of the problem. The room's workers have scratch of their own; `shared` holds window_bytes. The same bits as
// run_causal, since every kernel sees the same operands: only who calls it, and when, differs.
void run_windows(Room& room, char* shared, const Parallel& parallel);

}  // namespace lathe
