// From a configuration to a library with its kernel: the generator of the build, then the linker, a child each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "child.h"
#include "outcome.h"
#include "runner/job.h"
#include "space.h"

namespace lathe::tune {

struct Tools {
  std::string generator, linker, records, tune_for;  // no linker: candidates are only looked at
  Limits limits{60, uint64_t{4} << 30, 300};
};

// What the generator lists; they throw std::invalid_argument with what it said. Kernels of a row: "state", "map:elu1".
std::vector<std::string> list_kernels(const Tools& tools, const std::string& row);
Space list_space(const Tools& tools, const std::string& kernel, const std::string& axis, const std::string& row);

struct Candidate {
  Point point;
  std::string id;
  Built built;
  std::string code;      // equal for configurations that became the same kernel
  std::string assembly;  // where candidates are only looked at
  Outcome outcome;       // ok, or why there is nothing to run
};

// Leaves the library in the folder; nothing where there is none, or no linker.
Candidate build_candidate(const Tools& tools, const Space& space, const Point& point,
                          const std::filesystem::path& folder);
// The same kernel as one of Halide's autoschedulers has it; the problem is the generator's, "k=64x16 t=3".
Candidate build_autoscheduled(const Tools& tools, const Space& space, const Point& point, const std::string& scheduler,
                              const std::string& problem, const std::filesystem::path& folder);
const std::vector<std::string>& autoscheduler_names();
// The command that generates a candidate, to be typed again.
std::vector<std::string> generator_command(const Tools& tools, const Space& space, const Point& point,
                                           const std::string& folder);
// A registry line of the generator: symbol, chunk, grains.
Built read_entry(const std::filesystem::path& file);

}  // namespace lathe::tune
