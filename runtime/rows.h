// The rows of schedules/targets.def, and which of them a processor runs: functions of what it says of itself and of
// nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "processor.h"

namespace lathe {

// In order of preference.
const std::vector<const char*>& row_names();
// The first feature of the row that the processor lacks, empty where it runs the row. Unknown rows lack their name.
std::string missing_feature(const Processor& processor, const char* row);
bool row_runs(const Processor& processor, const char* row);
// Whether the row's target names this.
bool has_word(const char* row, std::string_view wanted);
// Whether its kernels take all chunks of a call at once, on a device.
bool of_device(const char* row);
// Of a row of CUDA: 80 for 8.0.
int capability_of(const char* row);
// The name that records use: "sapphirerapids", "znver4", ... or "generic".
const char* uarch(const Processor& processor);

}  // namespace lathe
