#include "machine_report.h"

#include <fmt/format.h>
#include <lathe.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../bench/machine.h"
#include "pool.h"
#include "rows.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

nlohmann::json caches() {
  nlohmann::json found = nlohmann::json::array();
  for (int i = 0; i < 8; i++) {
    const std::filesystem::path folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}", i);
    const std::string level = first_line(folder / "level"), type = first_line(folder / "type"),
                      size = first_line(folder / "size");
    if (level.empty() || type == "Instruction") continue;
    found.push_back({{"name", "L" + level + (type == "Data" ? "d" : "")}, {"size", size}});
  }
  return found;
}

}  // namespace

nlohmann::json machine_report() {
  const char* pin = std::getenv("LATHE_TARGET");
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return {{"model", bench::cpu_model()},
          {"features", bench::cpu_features()},
          {"uarch", uarch(this_processor())},
          {"threads", allowed_processors()},
          {"caches", caches()},
          {"memory_gib", memory / (1 << 30)},
          {"pin", pin ? pin : ""},
          {"lathe", lathe_version()},
          {"compiler", kCompiler}};
}

std::string peers_folder() {
  const char* folder = std::getenv("LATHE_PEERS_DIR");
  return folder && *folder ? folder : source_tree() + "/build/peers";
}

std::string peers_python() { return peers_folder() + "/venv/bin/python"; }

}  // namespace lathe::cli
