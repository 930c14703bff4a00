#include "mca.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "../schedules/vectors.h"
#include "files.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Older ones lack the models of recent processors.
std::string find_mca() { return find_program({"llvm-mca-19", "llvm-mca-22", "llvm-mca-20"}); }

namespace {

constexpr double kSpillCycles = 0.5;  // of a load or store on the stack: where they are many, ports are short

void fail(Outcome& outcome, Reason reason, const std::string& detail) {
  outcome.reason = reason;
  outcome.detail = detail;
}

}  // namespace

StaticModel::StaticModel(Mca mca, const Tools& tools) : mca_(std::move(mca)), tools_(tools) {
  if (mca_.program.empty()) mca_.program = find_mca();
  if (mca_.program.empty())
    throw std::invalid_argument("the static model needs llvm-mca 19 or newer (Debian: apt-get install llvm-19)");
}

// The arguments' extents for each shape, from the runner of this machine: it needs no kernel for them.
std::vector<std::string> StaticModel::problems(Outcome& outcome, const Candidate& candidate, Job job) const {
  job.candidate = job.incumbent = candidate.built;
  job.candidate.library = job.incumbent.library = "";
  job.extents = true;
  job.verify = job.race = false;
  const std::string asked = Json(job).dump();
  {
    const std::scoped_lock lock(mutex_);
    if (const auto known = problems_.find(asked); known != problems_.end()) return known->second;
  }
  const Ended ended = run_child({mca_.runner}, asked, tools_.limits);
  const Outcome told = read_runner(ended, false);
  if (!told.usable()) {
    fail(outcome, Reason::infra, told.detail);
    return {};
  }
  std::vector<std::string> problems;
  std::istringstream lines(told.detail);
  for (std::string line; std::getline(lines, line);) problems.push_back(line);
  const std::scoped_lock lock(mutex_);
  return problems_[asked] = problems;
}

// What the generator writes for the candidate besides its code.
std::string StaticModel::generate(Outcome& outcome, const Space& space, const Candidate& candidate,
                                  const std::string& kind, const std::vector<std::string>& problems) const {
  const fs::path folder = fmt::format("{}.{}", candidate.built.library, kind);
  std::vector<std::string> command = generator_command(tools_, space, candidate.point, folder.string());
  command.insert(command.end(), {"--emit", kind});
  for (const std::string& problem : problems) command.insert(command.end(), {"--problem", problem});
  const Ended generated = run_child(command, "", tools_.limits);
  std::string text;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored))
    if (file.path().extension() != ".inc") text = content_of(file.path());
  fs::remove_all(folder, ignored);
  if (!generated.well() || text.empty())
    fail(outcome, generated.by_others() ? Reason::infra : Reason::compile_error, "the generator " + generated.text());
  return text;
}

std::vector<Loop> StaticModel::loops(Outcome& outcome, const Space& space, const Candidate& candidate) const {
  return loops_of(candidate.assembly.empty() ? generate(outcome, space, candidate, "assembly", {})
                                             : candidate.assembly);
}

std::vector<std::vector<double>> StaticModel::trips(Outcome& outcome, const Space& space, const Candidate& candidate,
                                                    const Job& job, const std::vector<Loop>& loops) const {
  const auto asked = problems(outcome, candidate, job);
  if (!outcome.usable()) return {};
  std::vector<std::vector<double>> counts;
  for (const auto& trips : read_trips(generate(outcome, space, candidate, "trips", asked)))
    counts.push_back(matched(loops, trips));
  return counts;
}

std::vector<double> StaticModel::cycles(Outcome& outcome, const Space& space, const std::string& cpu,
                                        const std::vector<std::string>& bodies) const {
  std::string input;
  std::vector<size_t> regions;
  for (size_t i = 0; i < bodies.size(); i++) {
    if (bodies[i].empty()) continue;
    input += fmt::format("# LLVM-MCA-BEGIN {}\n{}# LLVM-MCA-END\n", i, bodies[i]);
    regions.push_back(i);
  }
  const bool arm = gen::has_word(space.target, "arm");
  std::vector<std::string> command = {mca_.program, "-json", "-iterations=100"};
  command.emplace_back(arm ? "-mtriple=aarch64-linux-gnu" : "-mtriple=x86_64-linux-gnu");
  if (!cpu.empty()) command.push_back("-mcpu=" + cpu);
  // the row may have it where a model's processor has not
  if (gen::has_word(space.target, "arm_fp16")) command.emplace_back("-mattr=+fullfp16");
  const bool intel = !arm && input.find('%') == std::string::npos;
  const Ended ended = run_child(command, (intel ? ".intel_syntax noprefix\n" : "") + input, tools_.limits);
  const Json json = Json::parse(ended.out, nullptr, false);
  if (!ended.well() || !json.is_object() || json.at("CodeRegions").size() != regions.size()) {
    fail(outcome, Reason::infra, fmt::format("{} {}", mca_.program, ended.text()));
    return {};
  }
  std::vector<double> all(bodies.size());
  for (size_t i = 0; i < regions.size(); i++) {
    const Json& summary = json.at("CodeRegions")[i].at("SummaryView");
    all[regions[i]] = summary.at("TotalCycles").get<double>() / summary.at("Iterations").get<double>();
  }
  return all;
}

namespace {

class McaMeasurer : public Measurer {
 public:
  McaMeasurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier)
      : model_(mca, tools), verifier_(std::move(verifier)) {}
  std::string fidelity() const override { return "static-mca"; }
  bool verifies() const override { return verifier_ != nullptr; }
  bool at_once() const override { return !verifier_; }

  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome;
    outcome.reason = Reason::ok;
    if (verifier_) {
      Job verify = job;
      verify.race = false;
      outcome = verifier_->measure(space, candidate, verify);
      if (!outcome.usable()) return outcome;
    }
    const auto loops = model_.loops(outcome, space, candidate);
    if (!outcome.usable()) return outcome;
    std::vector<std::string> bodies;
    bodies.reserve(loops.size());
    for (const Loop& loop : loops) bodies.push_back(loop.body);
    const auto cycles = model_.cycles(outcome, space, model_.cpu(), bodies);
    if (!outcome.usable()) return outcome;
    const auto shapes = model_.trips(outcome, space, candidate, job, loops);
    double cost = 0;
    for (const auto& trips : shapes) {
      outcome.cost = 0;
      for (size_t i = 0; i < trips.size(); i++) outcome.cost += trips[i] * (cycles[i] + kSpillCycles * loops[i].spills);
      if (outcome.cost == 0) fail(outcome, Reason::unrated, "the compiler made other loops than it was given");
      if (!outcome.usable()) return outcome;
      // of a token, and no shape counts for more than another
      cost += std::log(outcome.cost / static_cast<double>(candidate.built.chunk));
    }
    if (outcome.usable()) outcome.cost = std::exp(cost / static_cast<double>(shapes.size()));
    return outcome;
  }

 private:
  StaticModel model_;
  std::unique_ptr<Measurer> verifier_;
};

class RatedMeasurer : public Measurer {
 public:
  RatedMeasurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model)
      : measurer_(std::move(measurer)), model_(std::move(model)) {}
  std::string fidelity() const override { return measurer_->fidelity(); }
  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome = measurer_->measure(space, candidate, job);
    // finalists and duels were rated when they were candidates
    if (outcome.usable() && job.race && job.racing) outcome.cost = model_->measure(space, candidate, job).cost;
    return outcome;
  }

 private:
  std::unique_ptr<Measurer> measurer_, model_;
};

}  // namespace

std::unique_ptr<Measurer> rated_measurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model) {
  return std::make_unique<RatedMeasurer>(std::move(measurer), std::move(model));
}

std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier) {
  return std::make_unique<McaMeasurer>(mca, tools, std::move(verifier));
}

}  // namespace lathe::tune
