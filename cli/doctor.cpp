// `lathe doctor`: what this machine can run, and what is missing.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "../autotune/command/tune.h"
#include "call.h"
#include "machine_report.h"
#include "table.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// name==version lines that a requirements file pins.
std::vector<std::pair<std::string, std::string>> pinned(const fs::path& requirements) {
  std::vector<std::pair<std::string, std::string>> pins;
  std::ifstream in(requirements);
  for (std::string line; std::getline(in, line);)
    if (const size_t at = line.find("=="); at != std::string::npos && line[0] != '#')
      pins.emplace_back(line.substr(0, at), line.substr(at + 2));
  return pins;
}

// The version of a package in a Python environment, as its metadata folder says.
std::optional<std::string> installed(const fs::path& environment, const std::string& name) {
  std::error_code none;
  for (const auto& python : fs::directory_iterator(environment / "lib", none))
    for (const auto& entry : fs::directory_iterator(python.path() / "site-packages", none)) {
      const std::string folder = entry.path().filename().string();
      if (folder.starts_with(name + "-") && folder.ends_with(".dist-info"))
        return folder.substr(name.size() + 1, folder.size() - name.size() - 1 - std::string(".dist-info").size());
    }
  return std::nullopt;
}

Json packages(const fs::path& requirements, const fs::path& environment) {
  Json list = Json::array();
  for (const auto& [name, version] : pinned(requirements)) {
    const auto here = installed(environment, name);
    list.push_back({{"name", name}, {"expected", version}, {"installed", here ? Json(*here) : Json(nullptr)}});
  }
  return list;
}

Json examine() {
  const fs::path root = source_tree();
  Json report = machine_report();
  report["rows"] = list_of("targets");
  report["tools"] = packages(root / "requirements.txt", root / ".venv");
  report["peers"] = packages(root / "bench" / "peers" / "requirements.txt", fs::path(peers_folder()) / "venv");
  for (const char* name : {"ggml", "fast_transformers"}) {
    const bool built = fs::exists(fs::path(peers_folder()) / "build" / (std::string(name) + ".so"));
    report["peers"].push_back(
        {{"name", name}, {"expected", "built"}, {"installed", built ? Json("built") : Json(nullptr)}});
  }
  Arguments args;
  for (uint32_t role : {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}) args.add(role, nullptr, {1, 1, 1, 16}, "f32");
  try {
    const Json said = Call({"causal"}, args, 0).describe();
    report["target"] = said.at("target");
    report["why"] = said.at("why");
  } catch (const Failure& failure) {
    report["target"] = nullptr;
    report["why"] = failure.what();
  }
  return report;
}

std::string package_words(const Json& package) {
  const std::string name = package.at("name"), expected = package.at("expected");
  if (package.at("installed").is_null()) return fmt::format("{} (missing)", name);
  const std::string here = package.at("installed");
  return here == expected ? fmt::format("{} {}", name, here) : fmt::format("{} {} (expected {})", name, here, expected);
}

void print_packages(const char* title, const Json& list, const char* advice) {
  std::string line;
  bool missing = list.empty();
  for (const auto& package : list) {
    line += (line.empty() ? "" : ", ") + package_words(package);
    missing = missing || package.at("installed").is_null();
  }
  fmt::print("  {:10} {}\n", title, line.empty() ? "unknown: the source tree is not here" : line);
  if (missing && !list.empty()) fmt::print("  {:10} {}\n", "", faint(advice));
}

void print_report(const Json& report) {
  const auto word = [&](const char* key) { return report.at(key).get<std::string>(); };
  std::string caches;
  for (const auto& cache : report.at("caches"))
    caches += fmt::format("{}{} {}", caches.empty() ? "" : ", ", cache.at("name").get<std::string>(),
                          cache.at("size").get<std::string>());
  fmt::print("{}\n", bold("this machine"));
  fmt::print("  {:10} {}\n", "processor", word("model"));
  fmt::print("  {:10} {} ({})\n", "known as", word("uarch"), word("features"));
  fmt::print("  {:10} {} allowed\n", "threads", report.at("threads").get<int>());
  fmt::print("  {:10} {}\n", "caches", caches.empty() ? "unknown" : caches);
  fmt::print("  {:10} {:.1f} GiB\n", "memory", report.at("memory_gib").get<double>());
  fmt::print("{}\n", bold("this library"));
  fmt::print("  {:10} {}, built by {}\n", "lathe", word("lathe"), word("compiler"));
  Table rows({"row", "", "kernels"});
  for (const auto& row : report.at("rows")) {
    const int kernels = row.at("kernels");
    const std::string state =
        row.at("runs") ? (kernels ? "runs" : "would run, not built") : "lacks " + row.at("missing").get<std::string>();
    rows.add({row.at("name"), state, std::to_string(kernels)});
  }
  fmt::print("{}", rows.text());
  if (!word("pin").empty()) fmt::print("  {:10} LATHE_TARGET={}\n", "pinned", word("pin"));
  if (report.at("target").is_null())
    fmt::print("  {:10} nothing runs: {}\n", "takes", word("why"));
  else
    fmt::print("  {:10} {}: {}\n", "takes", green(word("target")), word("why"));
  fmt::print("{}\n", bold("around it"));
  print_packages("tools", report.at("tools"), "./lathe build fetches them");
  print_packages("peers", report.at("peers"), "optional: ./lathe bench --peers fetches them");
}

Json self_test() {
  std::string text(1 << 16, '\0');
  size_t need = 0;
  lathe_context* context = nullptr;
  if (lathe_context_create(nullptr, &context) != LATHE_OK) throw Failure(lathe_last_error(nullptr));
  const lathe_status status = lathe_self_test(context, text.data(), text.size(), &need);
  const std::string error = lathe_last_error(context);
  lathe_context_destroy(context);
  if (status != LATHE_OK && status != LATHE_INTERNAL) throw Failure(error);
  return Json::parse(text.c_str());
}

int faults_of(const Json& test) {
  int faults = 0;
  for (const auto& check : test.at("checks")) faults += !check.at("fault").is_null();
  return faults;
}

void print_self_test(const Json& test) {
  Table table({"operator", "variant", "", "map", "type", ""});
  for (const auto& check : test.at("checks"))
    table.add({check.at("op"), check.at("variant"), check.at("normalise") ? "normalised" : "", check.at("map"),
               check.at("dtype"), check.at("fault").is_null() ? "right" : check.at("fault").get<std::string>()});
  fmt::print("{}\n{}", bold("self-test of " + test.at("target").get<std::string>()), table.text());
}

}  // namespace

void add_doctor(CLI::App& program) {
  auto json = std::make_shared<bool>(false), test = std::make_shared<bool>(false), tune = std::make_shared<bool>(false);
  CLI::App* verb = program.add_subcommand("doctor", "what this machine can run, and what is missing");
  verb->add_flag("--json", *json, "as JSON");
  verb->add_flag("--self-test", *test, "also run every kernel that this machine takes once, against plain loops");
  verb->add_flag("--tune", *tune, "what here spoils measurements, and which tools the tuner finds");
  verb->callback([json, test, tune] {
    if (*tune) {
      std::string words[] = {"tune", "doctor"};
      char* argv[] = {words[0].data(), words[1].data()};
      if (lathe_tune_main(2, argv) != 0) throw Failure("the tuner finds no machine to measure on");
      return;
    }
    Json report = examine();
    const bool tests = *test && !report.at("target").is_null();
    if (tests) report["self_test"] = self_test();
    if (*json)
      fmt::print("{}\n", report.dump(2));
    else
      print_report(report);
    if (report.at("target").is_null()) throw Failure("no row of this library runs here");
    if (!tests) return;
    if (!*json) print_self_test(report.at("self_test"));
    if (const int faults = faults_of(report.at("self_test")))
      throw Failure(
          fmt::format("{} of the self-test's answers are wrong: this library was not built for this machine", faults));
  });
}

}  // namespace lathe::cli
