// `lathe tune merge DIR ...`, `status` and `replay`: what journals say, without measuring anything.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "../../bench/median.h"
#include "../../cli/table.h"
#include "../configuration.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

std::vector<fs::path> folders(const Request& request) { return {request.paths.begin(), request.paths.end()}; }

double score_of(const Outcome& o) {
  if (!o.usable()) return kUnusable;
  return o.ratio > 0 ? o.ratio : o.cost > 0 ? o.cost : 1;
}

// Candidates best first; equals by name, so that shards do not matter.
std::vector<Entry> ranked(const std::vector<fs::path>& where) {
  std::vector<Entry> entries;
  for (auto& [id, entry] : by_candidate(merged(where), "sweep")) entries.push_back(entry);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(score_of(a.outcome), a.id) < std::pair(score_of(b.outcome), b.id);
  });
  return entries;
}

}  // namespace

int command_merge(const Request& request) {
  const auto entries = ranked(folders(request));
  std::map<std::string, int> reasons;
  Json best = Json::array();
  for (const Entry& entry : entries) {
    reasons[name_of(entry.outcome.reason)]++;
    if (entry.outcome.usable() && best.size() < 10)
      best.push_back({{"id", entry.id}, {"text", entry.text}, {"score", score_of(entry.outcome)}});
  }
  const Json all = {{"candidates", entries.size()}, {"reasons", reasons}, {"best", best}};
  if (!request.out.empty()) {
    fs::create_directories(request.out);
    std::ofstream file(fs::path(request.out) / "merged.json");
    file << all.dump(1) << "\n";
    // one journal of all: whoever sweeps there next, knows what every shard found
    std::ofstream journal(fs::path(request.out) / Shard{}.file());
    for (const Entry& entry : merged(folders(request))) journal << to_line(entry).dump() << "\n";
    if (!file.flush() || !journal.flush()) throw Infrastructure(fmt::format("{} cannot be written", request.out));
  }
  fmt::print("{}\n", all.dump(1));
  return entries.empty() || best.empty() ? 4 : 0;
}

int command_status(const Request& request) {
  cli::Table table({"run", "candidates", "ok", "failed", "best", "finding"});
  std::error_code none;
  std::vector<fs::path> runs;
  for (const auto& folder : fs::directory_iterator(root_of(request), none))
    if (folder.is_directory()) runs.push_back(folder.path());
  std::sort(runs.begin(), runs.end());
  for (const fs::path& run : runs) {
    const auto entries = ranked({run});
    if (entries.empty()) continue;
    const auto ok = std::count_if(entries.begin(), entries.end(), [](const Entry& e) { return e.outcome.usable(); });
    std::ifstream in(run / "result.json");
    const Json result = Json::parse(in, nullptr, false);
    table.add({run.filename().string(), std::to_string(entries.size()), std::to_string(ok),
               std::to_string(static_cast<std::ptrdiff_t>(entries.size()) - ok),
               ok > 0 ? fmt::format("{:.3f}", score_of(entries[0].outcome)) : "-",
               result.is_object() ? result.at("finding").get<std::string>() : "under way or interrupted"});
  }
  fmt::print("{}", table.text());
  return 0;
}

// Runs the strategies over a recorded exhaustive sweep: how many evaluations until 95 % of its best.
int command_replay(const Request& request) {
  constexpr double kClose = 0.95;
  constexpr uint64_t kSeeds = 20;
  const auto entries = ranked(folders(request));
  if (entries.empty() || !entries[0].outcome.usable()) throw Infrastructure("nothing usable was recorded there");
  const fs::path listed = fs::path(request.paths.at(0)) / "space.json";
  std::ifstream in(listed);
  const Json json = Json::parse(in, nullptr, false);
  if (!json.is_object())
    throw Infrastructure(fmt::format("{} is missing: it says what the sweep swept", listed.string()));
  Space space(json);
  std::map<std::string, double> recorded;
  for (const Entry& entry : entries) recorded[entry.id] = score_of(entry.outcome);
  std::erase_if(space.points, [&](const Point& p) { return !recorded.contains(space.id(p)); });
  space.reindex();
  const double best = score_of(entries[0].outcome);
  const auto fallback = recorded.find(space.id(space.fallback));
  const bool timed = entries[0].outcome.ratio > 0;
  fmt::print("{}: {} configurations recorded, the best {}\n", space.name(), space.points.size(),
             timed                        ? fmt::format("takes {:.3f} of the default's time", best)
             : fallback == recorded.end() ? fmt::format("is rated {:.0f}", best)
                                          : fmt::format("is rated {:.0f}, the default {:.0f}", best, fallback->second));
  cli::Table table({"strategy", "evaluations to 95 % of the best: median", "90th percentile", "not in 300"});
  const auto elsewhere = winners_elsewhere(tools_of(request).records, space, space.row);
  std::vector<std::pair<std::string, StrategyOptions>> rivals;
  for (const std::string& name : strategy_names())
    if (name != "exhaustive") rivals.push_back({name, {name, 1, {space.fallback}}});
  rivals.push_back({"ils, from records", {"ils", 1, {space.fallback}}});
  rivals.back().second.seeds.insert(rivals.back().second.seeds.end(), elsewhere.begin(), elsewhere.end());
  for (auto& [name, options] : rivals) {
    std::vector<double> needed;
    int missed = 0;
    for (uint64_t seed = 1; seed <= kSeeds; seed++) {
      options.seed = seed;
      const auto strategy = make_strategy(space, options);
      Scores scores;
      double found = 0;
      while (found == 0 && scores.size() < space.points.size()) {
        const auto batch = strategy->next(scores, 8);
        if (batch.empty()) break;
        for (const size_t index : batch) {
          scores[index] = recorded.at(space.id(space.points[index]));
          if (found == 0 && best / scores[index] >= kClose) found = static_cast<double>(scores.size());
        }
      }
      if (found == 0) found = static_cast<double>(space.points.size());
      missed += found > 300;
      needed.push_back(found);
    }
    std::sort(needed.begin(), needed.end());
    table.add({name, fmt::format("{:.0f}", bench::median(needed)),
               fmt::format("{:.0f}", needed[needed.size() * 9 / 10 - 1]), std::to_string(missed)});
  }
  fmt::print("{}", table.text());
  return 0;
}

}  // namespace lathe::tune
