#include "measurer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "statistics.h"

namespace lathe::tune {

namespace {

using Json = nlohmann::json;

constexpr int kAttempts = 3;

// Lines for us, also where a kernel or a wrapper printed something around them.
std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream in(text);
  const std::string start = kLineStart;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(start)) continue;
    const Json parsed = Json::parse(line.substr(start.size()), nullptr, false);
    if (parsed.is_object()) lines.push_back(parsed);
  }
  return lines;
}

std::string replaced(std::string word, const std::string& by) {
  for (size_t at = 0; (at = word.find("{}", at)) != std::string::npos; at += by.size()) word.replace(at, 2, by);
  return word;
}

void add_races(Outcome& outcome, const std::vector<Json>& lines) {
  std::vector<std::vector<double>> groups;
  bool all = true;
  for (const Json& line : lines) {
    if (line.at("event") != "raced") continue;
    groups.push_back(line.at("ratios"));
    outcome.pairs += line.at("pairs").get<int>();
    outcome.fast += static_cast<int>(groups.back().size());
    outcome.ns += line.at("ns").get<double>();
    outcome.ns_incumbent += line.at("ns_incumbent").get<double>();
    all = all && line.at("conclusive").get<bool>();
  }
  outcome.conclusive = all && !groups.empty();
  const Interval interval = bootstrap(groups);
  outcome.ratio = interval.middle;
  outcome.low = interval.low;
  outcome.high = interval.high;
}

class RunnerMeasurer : public Measurer {
 public:
  explicit RunnerMeasurer(Runner runner) : runner_(std::move(runner)) {}
  std::string fidelity() const override { return runner_.emulated ? "emulated" : "native"; }

  Outcome measure(const Space&, const Candidate&, const Job& job) override {
    Job asked = job;
    asked.race = job.race && !runner_.emulated;
    Outcome outcome;
    for (int attempt = 0; attempt < kAttempts; attempt++) {
      outcome = once(asked);
      if (outcome.reason != Reason::infra) break;
    }
    return outcome;
  }

 private:
  Outcome once(Job job) {
    for (Built* built : {&job.candidate, &job.incumbent})
      if (Outcome pushed; !push(*built, pushed)) return pushed;
    const std::string where = runner_.push.empty() ? runner_.program : "./" + name_of_file(runner_.program);
    std::vector<std::string> command;
    for (const std::string& word : runner_.wrap) command.push_back(replaced(word, where));
    if (command.empty()) command = {runner_.program};
    const Ended ended = run_child(command, Json(job).dump(), runner_.limits);
    Outcome outcome = read_runner(ended, job.race);
    outcome.run_seconds = ended.seconds;
    return outcome;
  }

  static std::string name_of_file(const std::string& path) { return std::filesystem::path(path).filename().string(); }

  bool push(Built& built, Outcome& outcome) {
    if (runner_.push.empty() || built.library.empty()) return true;
    std::vector<std::string> files = {built.library};
    if (!pushed_) files.push_back(runner_.program);
    for (const std::string& file : files) {
      std::vector<std::string> command;
      for (const std::string& word : runner_.push) command.push_back(replaced(word, file));
      const Ended ended = run_child(command, "", runner_.limits);
      if (ended.well()) continue;
      outcome.reason = Reason::infra;
      outcome.detail = fmt::format("--push: {} {}", command[0], ended.text());
      return false;
    }
    pushed_ = true;
    built.library = "./" + name_of_file(built.library);
    built.pushed = true;
    return true;
  }

  Runner runner_;
  bool pushed_ = false;
};

}  // namespace

std::vector<std::string> wrapped_words(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) words.push_back(word);
  if (std::none_of(words.begin(), words.end(), [](const std::string& w) { return w.find("{}") != std::string::npos; }))
    throw std::invalid_argument(fmt::format("'{}': expected a command with {{}} where the program stands", text));
  return words;
}

std::unique_ptr<Measurer> runner_measurer(const Runner& runner) { return std::make_unique<RunnerMeasurer>(runner); }

Outcome read_runner(const Ended& ended, bool race) {
  Outcome outcome;
  const auto lines = lines_of(ended.out);
  bool done = false;
  for (const Json& line : lines) {
    const std::string event = line.at("event");
    done = done || event == "done";
    if (event == "extents")
      outcome.detail += fmt::format("{}\n", fmt::join(line.at("arguments").get<std::vector<std::string>>(), " "));
    if (event == "verified") outcome.worst = std::max(outcome.worst, line.at("worst").get<double>());
    if (event != "wrong" && event != "unstable") continue;
    outcome.reason = reason_of(event);
    outcome.detail = line.at("detail");
    return outcome;
  }
  if (ended.well() && done) {
    outcome.reason = Reason::ok;
    if (race) add_races(outcome, lines);
    return outcome;
  }
  outcome.detail = "the runner " + ended.text();
  if (ended.how == End::timed_out)
    outcome.reason = Reason::run_timeout;
  else if (ended.out_of_memory)
    outcome.reason = Reason::oom;
  else if (ended.how == End::signalled && !ended.by_others())
    outcome.reason = Reason::crash;
  return outcome;
}

}  // namespace lathe::tune
