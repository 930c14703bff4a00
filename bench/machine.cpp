#include "machine.h"

#include <fmt/format.h>

#include <fstream>
#include <map>

namespace lathe::bench {

namespace {

std::map<std::string, std::string> first_processor() {
  std::map<std::string, std::string> fields;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t end = line.find_last_not_of(" \t", colon - 1);
    fields[line.substr(0, end + 1)] = colon + 2 < line.size() ? line.substr(colon + 2) : "";
  }
  return fields;
}

}  // namespace

std::string cpu_model() {
  auto fields = first_processor();
  if (fields.contains("model name"))
    return fmt::format("{} (family {}, model {})", fields["model name"], fields["cpu family"], fields["model"]);
  if (fields.contains("CPU part"))
    return fmt::format("ARM part {} of {}", fields["CPU part"], fields["CPU implementer"]);
  return "unknown processor";
}

std::string cpu_features() {
  auto fields = first_processor();
  const std::string flags = " " + fields["flags"] + fields["Features"] + " ";
  std::string found;
  for (const char* name :
       {"sse4_1", "avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_fp16", "asimd", "asimdhp", "sve"})
    if (flags.find(fmt::format(" {} ", name)) != std::string::npos)
      found += (found.empty() ? "" : " ") + std::string(name);
  return found;
}

}  // namespace lathe::bench
