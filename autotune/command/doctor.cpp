// `lathe tune doctor`: what on this machine will spoil measurements, and which tools there are.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../../cli/verbs.h"
#include "../mca.h"
#include "../shard.h"
#include "request.h"

namespace lathe::tune {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

bool in_virtual_machine() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("flags") && line.find(" hypervisor") != std::string::npos) return true;
  return false;
}

void say(const char* what, const std::string& found) { fmt::print("  {:14} {}\n", what, found); }

std::string there(const std::string& file) { return access(file.c_str(), X_OK) == 0 ? file : file + " (missing)"; }

}  // namespace

int command_doctor(const Request& request) {
  const Tools tools = tools_of(request);
  const std::string governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  const std::string boost = first_line("/sys/devices/system/cpu/cpufreq/boost"), load = first_line("/proc/loadavg");
  const std::string threads = first_line("/sys/devices/system/cpu/smt/active"), mca = find_mca();
  say("generator", there(tools.generator));
  say("runner", there(request.runner.empty() ? cli::program_folder() + "/lathe-runner" : request.runner));
  say("linker", tools.linker);
  say("llvm-mca", mca.empty() ? "none of 19 or newer (Debian: apt-get install llvm-19): no static model" : mca);
  say("machine",
      in_virtual_machine() ? "virtual: others share its processors, and slow spells come from outside" : "not virtual");
  say("governor", governor.empty()            ? "not told"
                  : governor == "performance" ? governor
                                              : governor + ": frequencies move; performance is steadier");
  say("boost", boost.empty() ? "not told" : boost == "1" ? "on: the first seconds are faster than the rest" : "off");
  say("threads", threads == "1" ? "two share a core: the neighbour slows a measurement" : "one a core, or not told");
  say("load", load + (std::atof(load.c_str()) > 0.5 ? ": something else is at work" : ""));
  say("scheduler", array_index_variable().empty() ? "none" : array_index_variable());
  return 0;
}

}  // namespace lathe::tune
