// A folder that vanishes, and a sweep over the shim's space.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "autotune/sweep.h"

namespace tune_test {

class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "lathe-tune-XXXXXX").string()) {
    if (!mkdtemp(path_.data())) throw std::runtime_error("no folder could be made");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

// What the shim is told, while this lives.
class Told {
 public:
  explicit Told(const std::string& faults) { setenv("LATHE_SHIM", faults.c_str(), 1); }
  ~Told() { unsetenv("LATHE_SHIM"); }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
};

inline std::string tool(const char* name) { return std::string(LATHE_SHIMS) + "/" + name; }

inline lathe::tune::Tools shim_tools() {
  lathe::tune::Tools tools;
  tools.generator = tool("shim-generator");
  tools.linker = tool("shim-linker");
  tools.limits.seconds = 0.5;
  tools.limits.grace = 0.1;
  tools.limits.memory = uint64_t{1} << 30;
  return tools;
}

inline lathe::tune::Runner shim_runner() {
  lathe::tune::Runner runner;
  runner.program = tool("shim-runner");
  runner.limits = shim_tools().limits;
  return runner;
}

inline lathe::tune::SweepOptions sweep_in(const std::filesystem::path& folder,
                                          const std::string& strategy = "exhaustive") {
  lathe::tune::SweepOptions options;
  options.effort.evals = 1000;
  options.effort.finalists = 3;
  options.strategy.name = strategy;
  options.folder = folder;
  return options;
}

inline lathe::tune::Result sweep(const lathe::tune::SweepOptions& options,
                                 const lathe::tune::Runner& runner = shim_runner()) {
  const lathe::tune::Tools tools = shim_tools();
  const lathe::tune::Space space = lathe::tune::list_space(tools, "causal", "plain", "avx2");
  const auto measurer = lathe::tune::runner_measurer(runner);
  return lathe::tune::Sweep(space, tools, *measurer, options, [](const lathe::tune::Progress&) {}).run();
}

}  // namespace tune_test
