#include "whole.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "../../bench/cases.h"
#include "../../cli/call.h"
#include "../../cli/verbs.h"
#include "../journal.h"
#include "../side_by_side.h"
#include "registry.h"

#ifndef LATHE_COMPILER
#define LATHE_COMPILER "c++"
#endif

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

// Enough for the start of a call not to count, and short enough to end between two disturbances.
constexpr int64_t kTokens = 512, kHeads = 4;
constexpr const char* kDecidingMaps[] = {"identity", "elu1"};

bool decides(const lathe::Entry& e) {
  const std::string kernel = e.kernel, axis = e.axis;
  if (is_map(kernel))
    return std::any_of(std::begin(kDecidingMaps), std::end(kDecidingMaps),
                       [&](const char* map) { return axis == map; });
  return axis.empty() || axis == "plain" || axis == "f32";
}

// One of each kernel that a float32 call without a gate may take.
std::vector<std::pair<std::string, std::string>> kernels_needed() {
  std::set<std::pair<std::string, std::string>> needed;
  for (const lathe::Entry& e : lathe::registry())
    if (decides(e)) needed.emplace(e.kernel, e.axis);
  return {needed.begin(), needed.end()};
}

void must(const Ended& ended, const std::string& what) {
  if (!ended.well()) throw Infrastructure(fmt::format("{} {}", what, ended.text()));
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(line);
  if (lines.empty()) throw Infrastructure(fmt::format("{} is missing; `./lathe build` makes it", file.string()));
  return lines;
}

}  // namespace

fs::path build_whole(const Tools& tools, const std::string& row, const fs::path& records, const fs::path& folder,
                     int jobs) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  const auto needed = kernels_needed();
  std::vector<Ended> ended(needed.size());
  side_by_side(needed.size(), jobs, [&](size_t i) {
    std::vector<std::string> command = {
        tools.generator, "--kernel",  needed[i].first,  "--row",      row,           "--out",
        folder.string(), "--records", records.string(), "--tune-for", tools.tune_for};
    if (!needed[i].second.empty()) command.insert(command.end(), {"--axis", needed[i].second});
    ended[i] = run_child(command, "", tools.limits);
  });
  for (const Ended& one : ended) must(one, "the generator");
  std::vector<std::string> objects;
  std::ofstream entries(folder / "entries.inc");
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".o") objects.push_back(file.path().string());
    if (file.path().extension() == ".inc" && file.path().filename() != "entries.inc")
      entries << fmt::format("#include \"{}\"\n", file.path().string());
  }
  entries.close();
  const std::string source = cli::source_tree() + "/runtime", registry_object = (folder / "registry.o").string();
  must(run_child({LATHE_COMPILER, "-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-DFMT_HEADER_ONLY", "-I",
                  source, "-I", folder.string(), "-c", source + "/registry.cpp", "-o", registry_object},
                 "", tools.limits),
       "the compiler");
  const fs::path library = folder / "lathe.so";
  std::vector<std::string> command = {LATHE_COMPILER, "-shared",        "-Wl,-Bsymbolic",
                                      "-o",           library.string(), registry_object};
  const fs::path build = fs::path(cli::program_folder()).parent_path();
  for (std::string object : lines_of(build / "gen" / "judged_objects.txt")) {
    // relative to the build's folder for some generators of build files
    if (object[0] != '/') object = (build / object).string();
    command.push_back(object);
  }
  command.insert(command.end(), objects.begin(), objects.end());
  command.emplace_back("-lpthread");
  must(run_child(command, "", tools.limits), "the linker");
  return library;
}

std::vector<WholeCase> deciding_cases() {
  std::vector<WholeCase> cases;
  for (const bench::Shape& shape : bench::shapes()) {
    if (shape.group != "headline") continue;
    for (const char* map : kDecidingMaps)
      cases.push_back(
          {"causal", map, "BHTD", std::string(map) != "identity", kTokens, kHeads, shape.width, shape.value_width});
  }
  return cases;
}

Outcome judge(const std::string& runner, const WholeJob& job, const Limits& limits) {
  Limits longer = limits;
  longer.seconds = 60 + 2 * job.seconds * static_cast<double>(job.cases.size());
  longer.processor_seconds = static_cast<uint64_t>(longer.seconds) * 2;
  const Ended ended = run_child({runner}, nlohmann::json(job).dump(), longer);
  Outcome outcome = read_runner(ended, true);
  outcome.run_seconds = ended.seconds;
  return outcome;
}

std::vector<std::string> causal_step() {
  std::vector<std::string> names;
  for (const char* map : kDecidingMaps) {
    cli::Arguments shapes;
    for (const uint32_t role : {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}) shapes.add(role, nullptr, {1, 64, 1, 64}, "f32");
    const cli::What what{"causal", "plain", map, std::string(map) != "identity"};
    const nlohmann::json said = cli::Call(what, shapes, 1).describe();
    for (const auto& kernel : said.at("kernels"))
      for (const lathe::Entry& e : lathe::registry())
        if (kernel.at("name") == e.symbol && std::find(names.begin(), names.end(), e.kernel) == names.end())
          names.emplace_back(e.kernel);
  }
  return names;
}

}  // namespace lathe::tune
