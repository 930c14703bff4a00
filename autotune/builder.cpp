#include "builder.h"

#include <fmt/format.h>

#include <regex>
#include <sstream>
#include <stdexcept>

#include "files.h"
#include "hash.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

Outcome failure(const Ended& ended, const char* what) {
  Outcome outcome;
  outcome.detail = fmt::format("{} {}", what, ended.text());
  outcome.compile_seconds = ended.seconds;
  if (ended.how == End::not_started || ended.by_others())
    outcome.reason = Reason::infra;
  else if (ended.out_of_memory)
    outcome.reason = Reason::oom;
  else if (ended.how == End::timed_out)
    outcome.reason = Reason::compile_timeout;
  else
    outcome.reason = ended.how == End::signalled ? Reason::crash : Reason::compile_error;
  return outcome;
}

}  // namespace

std::vector<std::string> list_kernels(const Tools& tools, const std::string& row) {
  const Ended ended = run_child({tools.generator, "--list", "--row", row}, "", tools.limits);
  if (!ended.well()) throw std::invalid_argument(fmt::format("--row {}: the generator {}", row, ended.text()));
  std::istringstream lines(ended.out);
  std::vector<std::string> names;
  for (std::string name; std::getline(lines, name);) names.push_back(name);
  return names;
}

Space list_space(const Tools& tools, const std::string& kernel, const std::string& axis, const std::string& row) {
  std::vector<std::string> command = {tools.generator, "--kernel",   kernel,        "--row", row,
                                      "--space",       "--tune-for", tools.tune_for};
  if (!axis.empty()) command.insert(command.end(), {"--axis", axis});
  if (!tools.records.empty()) command.insert(command.end(), {"--records", tools.records});
  const Ended ended = run_child(command, "", tools.limits);
  if (!ended.well()) throw std::invalid_argument(fmt::format("the generator {}", ended.text()));
  return Space(nlohmann::json::parse(ended.out));
}

std::vector<std::string> generator_command(const Tools& tools, const Space& space, const Point& point,
                                           const std::string& folder) {
  std::vector<std::string> command = {tools.generator, "--kernel", space.kernel, "--row", space.row, "--out", folder};
  if (!space.axis.empty()) command.insert(command.end(), {"--axis", space.axis});
  for (const auto& [name, value] : space.numbers(point))
    command.insert(command.end(), {"--set", fmt::format("{}={}", name, value)});
  return command;
}

Built read_entry(const fs::path& file) {
  static const std::regex kEntry(R"(LATHE_ENTRY\((\w+), "\w+", "\w*", "\w+", (\d+), (\d+), (\d+), (\d+), .*)");
  std::string line = content_of(file);
  if (!line.empty() && line.back() == '\n') line.pop_back();
  std::smatch words;
  if (!std::regex_match(line, words, kEntry))
    throw std::invalid_argument(fmt::format("{}: not a line of the registry: '{}'", file.string(), line));
  return {
      "", words[1].str() + "_argv", std::stoi(words[2]), std::stoi(words[3]), std::stoi(words[4]), std::stoi(words[5])};
}

namespace {

// Runs the generator's command, which leaves its files in the candidate's own folder, then the linker.
Candidate built_by(const std::vector<std::string>& command, const Tools& tools, Candidate candidate,
                   const fs::path& folder) {
  const fs::path own = folder / candidate.id, library = folder / (candidate.id + ".so");
  const bool runs = !tools.linker.empty();
  const Ended generated = run_child(command, "", tools.limits);
  const auto finish = [&](Outcome outcome) {
    std::error_code ignored;
    fs::remove_all(own, ignored);
    candidate.outcome = std::move(outcome);
    return candidate;
  };
  if (!generated.well()) return finish(failure(generated, "the generator"));
  fs::path code, entry;
  for (const auto& file : fs::directory_iterator(own)) {
    if (file.path().extension() == (runs ? ".o" : ".s")) code = file.path();
    if (file.path().extension() == ".inc") entry = file.path();
  }
  if (code.empty() || entry.empty()) {
    Outcome none;
    none.reason = Reason::compile_error;
    none.detail = "the generator wrote no code";
    return finish(none);
  }
  Ended linked;
  if (runs) {
    // libm: for what an autoscheduler's kernel brings along
    linked = run_child(
        {tools.linker, "-shared", "-Wl,-z,defs", "-Wl,-Bsymbolic", "-o", library.string(), "-lm", code.string()}, "",
        tools.limits);
    if (!linked.well()) return finish(failure(linked, "the linker"));
  }
  const std::string bytes = content_of(code);
  if (!runs) candidate.assembly = bytes;
  candidate.built = read_entry(entry);
  candidate.built.library = library.string();
  candidate.code = hex(hash(fmt::format("{}|{}|{}|{}|", candidate.built.chunk, candidate.built.key_grain,
                                        candidate.built.value_grain, candidate.built.row_grain),
                            hash(bytes)));
  Outcome well;
  well.reason = Reason::ok;
  well.compile_seconds = generated.seconds + linked.seconds;
  return finish(well);
}

}  // namespace

Candidate build_candidate(const Tools& tools, const Space& space, const Point& point, const fs::path& folder) {
  const Candidate candidate{point, space.id(point), {}, "", "", {}};
  auto command = generator_command(tools, space, point, (folder / candidate.id).string());
  if (tools.linker.empty()) command.insert(command.end(), {"--emit", "assembly"});
  return built_by(command, tools, candidate, folder);
}

const std::vector<std::string>& autoscheduler_names() {
  static const std::vector<std::string> kNames = {"Adams2019", "Li2018", "Mullapudi2016"};
  return kNames;
}

Candidate build_autoscheduled(const Tools& tools, const Space& space, const Point& point, const std::string& scheduler,
                              const std::string& problem, const fs::path& folder) {
  auto command = generator_command(tools, space, point, (folder / scheduler).string());
  command.insert(command.end(), {"--autoscheduler", scheduler, "--problem", problem});
  return built_by(command, tools, {point, scheduler, {}, "", "", {}}, folder);
}

}  // namespace lathe::tune
