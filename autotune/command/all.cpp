// `lathe tune --all`: every kernel of a row, and the chunk that they share. Kernels are swept for each chunk; which
// chunk it is, the whole operator decides.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "../../cli/table.h"
#include "../../cli/verbs.h"
#include "../configuration.h"
#include "../interrupt.h"
#include "maps.h"
#include "request.h"
#include "whole.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr double kBetter = 0.99;   // a chunk that is not in force
constexpr double kNoWorse = 1.01;  // the chunk in force, whose kernels have won their own duels

class All {
 public:
  explicit All(const Request& request)
      : request_(request),
        tools_(tools_of(request)),
        row_(row_of(request)),
        folder_(root_of(request) / ("all-" + row_)),
        runner_(request.runner.empty() ? cli::program_folder() + "/lathe-runner" : request.runner),
        effort_(effort_of(request.effort)) {
    const Instance causal = find_instance("causal", row_);
    causal_ = list_space(tools_, causal.kernel, causal.axis, row_);
    while (chunk_at_ < causal_.knobs.size() && !causal_.knobs[chunk_at_].numerics) chunk_at_++;
  }

  int run() {
    const std::vector<std::string> step = causal_step();
    const auto before = library(tools_.records, "before");
    std::vector<std::pair<double, int>> ranking;
    Json chunks = Json::object();
    for (const int chunk : chunks_to_try()) {
      Configuration configuration{uarch(), chunk, Json::object(), nullptr};
      for (const std::string& kernel : step) sweep(kernel, chunk, configuration);
      if (interrupted()) return 75;
      write(configuration, records_of(chunk));
      const Outcome outcome = judged(library(records_of(chunk), fmt::format("chunk-{}", chunk)), before, effort_.pairs,
                                     effort_.pair_seconds);
      if (!outcome.usable() || outcome.ratio == 0) {
        fmt::print("chunk {}: {}\n", chunk,
                   outcome.usable() ? "no undisturbed pair; the machine is too busy"
                                    : fmt::format("{} {}", name_of(outcome.reason), outcome.detail));
        continue;
      }
      fmt::print("chunk {}: {:.3f} of the time of what is in force [{:.3f}, {:.3f}]\n", chunk, outcome.ratio,
                 outcome.low, outcome.high);
      std::fflush(stdout);
      ranking.emplace_back(outcome.ratio, chunk);
      chunks[std::to_string(chunk)] = {{"ratio", outcome.ratio}, {"ci95", {outcome.low, outcome.high}}};
      configurations_[chunk] = configuration;
    }
    if (ranking.empty()) return exit_code(Finding::nothing_valid);
    std::sort(ranking.begin(), ranking.end());
    Configuration& best = configurations_.at(ranking[0].second);
    for (const Instance& instance : instances(false, row_))
      if (std::find(step.begin(), step.end(), instance.kernel) == step.end()) sweep(instance.kernel, best.chunk, best);
    if (interrupted()) return 75;
    return conclude(best, before, chunks);
  }

 private:
  std::string uarch() const { return tools_.tune_for; }
  fs::path records_of(int chunk) const { return folder_ / fmt::format("records-{}", chunk); }

  std::vector<int> chunks_to_try() const {
    Space space = causal_;
    for (const std::string& text : request_.pins)
      if (const Pin pin = parse_pin(text); space.knob(pin.knob)) space.pin(pin);
    std::set<int> legal;
    for (const Point& point : space.points) legal.insert(point[chunk_at_]);
    std::vector<int> all(legal.begin(), legal.end());
    if (request_.effort != "quick" || all.size() <= 3) return all;
    // quick: what is in force, and its neighbours
    const auto at = std::find(all.begin(), all.end(), space.record[chunk_at_]) - all.begin();
    const auto first = std::clamp<std::ptrdiff_t>(at - 1, 0, static_cast<std::ptrdiff_t>(all.size()) - 3);
    return {all.begin() + first, all.begin() + first + 3};
  }

  // Adds the kernel's winner, where it has one.
  void sweep(const std::string& kernel, int chunk, Configuration& configuration) {
    if (interrupted()) return;
    Instance instance = find_instance(kernel, row_);
    Request mine = request_;
    mine.pins = {fmt::format("chunk={}", chunk)};
    for (const std::string& pin : request_.pins)
      if (!pin.starts_with("chunk=")) mine.pins.push_back(pin);
    Space space = list_space(tools_, instance.kernel, instance.axis, row_);
    if (!space.tunable()) return;
    try {
      space.pin({"chunk", {chunk}});
    } catch (const std::invalid_argument&) {
      return;  // its defaults then hold, or the row has no such chunk, which the build says
    }
    if (space.points.size() < 2) return;
    // knobs of a map's tiles matter where it projects
    Instance measured = instance;
    for (const FeatureMap& map : feature_maps())
      if (is_map(kernel) && map.projects() && measured.axis == instance.axis)
        measured = find_instance(kernel + ":" + map.name, row_);
    Instance named = measured;
    named.key = instance.key;
    Json written;
    const Result result = sweep_instance(mine, named, written);
    if (!written.contains("params") || (result.finding != Finding::improved && result.finding != Finding::confirmed))
      return;
    if (result.finding == Finding::improved) improved_.insert(chunk);
    configuration.kernels[named.key] = {{"params", written.at("params")}, {"evidence", written.at("evidence")}};
  }

  void write(const Configuration& configuration, const fs::path& records) const {
    fs::create_directories(records);
    RecordFile file(records, row_);
    file.of(configuration.uarch, configuration.chunk) = configuration;
    file.write();
  }

  fs::path library(const fs::path& records, const std::string& name) const {
    return build_whole(tools_, row_, records, folder_ / name, request_.jobs);
  }

  Outcome judged(const fs::path& candidate, const fs::path& incumbent, int pairs, double seconds) const {
    WholeJob job{candidate.string(), incumbent.string(), deciding_cases(), pairs, seconds, -1};
    const Outcome outcome = judge(runner_, job, Limits{});
    if (outcome.reason == Reason::infra) throw Infrastructure(outcome.detail);
    return outcome;
  }

  int conclude(Configuration& best, const fs::path& before, const Json& chunks) {
    write(best, folder_ / "record");
    const fs::path after = library(folder_ / "record", "after");
    const Outcome versus = judged(after, before, effort_.claim_pairs, effort_.claim_seconds);
    fs::create_directories(folder_ / "none");
    const Outcome versus_default =
        judged(after, library(folder_ / "none", "default"), effort_.claim_pairs, effort_.claim_seconds);
    const auto as_json = [](const Outcome& o) {
      return Json{{"ratio", o.ratio}, {"ci95", {o.low, o.high}}, {"pairs", o.fast}, {"conclusive", o.conclusive}};
    };
    best.evidence = {{"date", date_now()},
                     {"chunks", chunks},
                     {"whole",
                      {{"problem", "causal, plain, float32, [B,H,T,D], one thread, elu1 with a normaliser and bare"},
                       {"vs_record", as_json(versus)},
                       {"vs_default", as_json(versus_default)}}}};
    write(best, folder_ / "record");
    // most kernels are in no causal step, and a kernel's gain may be less than the whole operator's noise
    const bool in_force = best.chunk == causal_.record[chunk_at_] && improved_.contains(best.chunk);
    const bool won = versus.usable() && versus.conclusive && versus.high < (in_force ? kNoWorse : kBetter);
    fmt::print(
        "{}: chunk {}, {} kernels; the whole operator takes {:.3f} of what is in force [{:.3f}, {:.3f}]{}, {:.3f} of "
        "the defaults [{:.3f}, {:.3f}]\n",
        cli::bold(row_), best.chunk, best.kernels.size(), versus.ratio, versus.low, versus.high,
        versus.conclusive ? "" : " (inconclusive)", versus_default.ratio, versus_default.low, versus_default.high);
    if (!won) {
      fmt::print("what is in force is kept\n");
      return exit_code(Finding::nothing_better);
    }
    fmt::print("lathe tune apply {}    takes it into schedules/records\n", folder_.string());
    return 0;
  }

  const Request& request_;
  Tools tools_;
  std::string row_;
  fs::path folder_;
  std::string runner_;
  Effort effort_;
  Space causal_;
  size_t chunk_at_ = 0;  // among its knobs
  std::map<int, Configuration> configurations_;
  std::set<int> improved_;  // chunks at which a kernel gained
};

}  // namespace

int command_all(const Request& request) {
  watch_interrupts();
  return All(request).run();
}

}  // namespace lathe::tune
