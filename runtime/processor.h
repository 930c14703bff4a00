// What this processor can run. Asked of the processor and the system, never of Halide, whose own test is wrong for
// several of these (it does not check that the system saves the wide registers).
#pragma once

#include <vector>

namespace lathe {

// Rows of schedules/targets.def, in order of preference.
const std::vector<const char*>& row_names();
// Whether every feature of the row is here; false for an unknown row.
bool row_runs(const char* row);
// The first feature of the row that is missing, or nullptr.
const char* missing_feature(const char* row);
// The name that records use: "sapphirerapids", "znver4", ... or "generic".
const char* host_uarch();

}  // namespace lathe
