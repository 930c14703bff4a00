// What only a run can check: where its tensors lie, and what the integers and the decay say.
#pragma once

#include <utility>
#include <vector>

#include "problem.h"

namespace lathe {

using SlotList = std::vector<std::pair<int64_t, int64_t>>;  // slot, sequence

// Throws Error(INVALID). `slots` is memory to sort in: kept by a caller who comes again.
void check_contents(const Problem& problem, const Meaning& meaning, SlotList& slots);
// Throws Error(WORKSPACE) where the workspace shares memory with an argument.
void check_workspace(const Problem& problem, const char* workspace, size_t bytes);

}  // namespace lathe
