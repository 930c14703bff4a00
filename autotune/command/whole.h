// The whole operator as a judge: what kernels are worth alone is not what they are worth together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "../builder.h"
#include "../configuration.h"
#include "../measurer.h"
#include "../runner/whole.h"

namespace lathe::tune {

// A library of one row with the kernels that causal calls take, numbers as the folder of records has them. Throws
// Infrastructure with what failed.
std::filesystem::path build_whole(const Tools& tools, const std::string& row, const std::filesystem::path& records,
                                  const std::filesystem::path& folder, int jobs);

// The calls that decide: causal, with a map and a normaliser and bare, on the headline's widths.
std::vector<WholeCase> deciding_cases();
Outcome judge(const std::string& runner, const WholeJob& job, const Limits& limits);

// Of a causal call, as names of kernels: those whose numbers hang together through the chunk.
std::vector<std::string> causal_step();

}  // namespace lathe::tune
