// `lathe tune report DIR`: a sweep on one page.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include "../../cli/chart.h"
#include "../../cli/page_style.h"
#include "../statistics.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using cli::escaped;
using Json = nlohmann::json;

namespace {

constexpr double kWidth = 720, kLeft = 150, kRow = 22;

struct Run {
  fs::path folder;
  Space space;
  std::vector<Entry> entries, usable;  // of the sweep; in the order in which they came
  std::vector<Entry> noise, autoscheduled;
  Json result;
};

double score_of(const Entry& e) {
  return e.outcome.ratio > 0 ? e.outcome.ratio : e.outcome.cost > 0 ? e.outcome.cost : 1;
}

Json json_of(const fs::path& file) {
  std::ifstream in(file);
  return Json::parse(in, nullptr, false);
}

Run read_run(const fs::path& folder) {
  Run run;
  run.folder = folder;
  const Json listed = json_of(folder / "space.json");
  if (!listed.is_object()) throw std::invalid_argument(fmt::format("{} holds no sweep", folder.string()));
  run.space = Space(listed);
  for (const auto& [id, entry] : by_candidate(merged({folder}), "sweep")) run.entries.push_back(entry);
  std::sort(run.entries.begin(), run.entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.sequence, a.id) < std::pair(b.sequence, b.id); });
  std::copy_if(run.entries.begin(), run.entries.end(), std::back_inserter(run.usable),
               [](const Entry& e) { return e.outcome.usable(); });
  for (const Entry& entry : merged({folder}))
    if (entry.stage == "noise") run.noise.push_back(entry);
  std::sort(run.noise.begin(), run.noise.end(), [](const Entry& a, const Entry& b) { return a.sequence < b.sequence; });
  for (const auto& [name, entry] : by_candidate(merged({folder}), "autoscheduler")) run.autoscheduled.push_back(entry);
  run.result = json_of(folder / "result.json");
  return run;
}

std::string section(const std::string& title, const std::string& note, const std::string& body) {
  return fmt::format("<section><h2>{}</h2><p class='soft'>{}</p>{}</section>\n", escaped(title), escaped(note), body);
}

std::string best_so_far(const Run& run) {
  cli::LineChart chart{"best so far", {"candidates"}, {"ratio"}, {}, "", 720, 300};
  cli::Line line{"best", "", 0, {}};
  double best = INFINITY;
  for (size_t i = 0; i < run.usable.size(); i++) {
    best = std::min(best, score_of(run.usable[i]));
    line.points.emplace_back(static_cast<double>(i + 1), best);
  }
  if (line.points.size() < 2) return "<p>fewer than two candidates ran</p>";
  line.label = fmt::format("{:.3f}", best);
  chart.lines = {line};
  return as_svg(chart);
}

std::string distribution(const Run& run) {
  if (run.usable.empty()) return "";
  double low = INFINITY, high = 0;
  for (const Entry& e : run.usable) low = std::min(low, score_of(e)), high = std::max(high, score_of(e));
  constexpr size_t kBins = 12;
  const double step = std::max((high - low) / kBins, 1e-9);
  std::vector<int> bins(kBins);
  for (const Entry& e : run.usable) bins[std::min(kBins - 1, static_cast<size_t>((score_of(e) - low) / step))]++;
  std::vector<cli::Bar> bars;
  for (size_t i = 0; i < kBins; i++)
    bars.push_back(
        {fmt::format("{:.3f} to {:.3f}", low + step * static_cast<double>(i), low + step * static_cast<double>(i + 1)),
         std::to_string(bins[i]), static_cast<double>(bins[i]), 0});
  return cli::bars_as_svg("candidates by their time over the default's", bars);
}

// How much of a shuffled knob's values the mean of what they score explains: near 0 for a knob that does not matter.
double importance(const Run& run, size_t k) {
  std::map<int, std::pair<double, int>> means;
  double all = 0;
  for (const Entry& e : run.usable) {
    auto& [sum, count] = means[run.space.parse(e.text)[k]];
    sum += std::log(score_of(e)), count++, all += std::log(score_of(e));
  }
  const double mean = all / static_cast<double>(run.usable.size());
  double between = 0, total = 0;
  for (const Entry& e : run.usable) {
    const auto& [sum, count] = means[run.space.parse(e.text)[k]];
    between += std::pow(sum / count - mean, 2);
    total += std::pow(std::log(score_of(e)) - mean, 2);
  }
  return total > 0 ? between / total : 0;
}

std::string box(const std::string& name, std::vector<double> values, double high, double y) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return kLeft +
           values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))] / high * (kWidth - kLeft - 60);
  };
  return fmt::format(
      "<text class='row' x='{}' y='{}' text-anchor='end'>{}</text><line class='axis' x1='{:.1f}' x2='{:.1f}' y1='{}' "
      "y2='{}'/>"
      "<rect class='bar c0' x='{:.1f}' y='{}' width='{:.1f}' height='12'/><rect class='bar c1' x='{:.1f}' y='{}' "
      "width='2' "
      "height='12'/><text class='mark' x='{}' y='{}' text-anchor='end'>{}</text>\n",
      kLeft - 10, y + 11, escaped(name), at(0), at(1), y + 6, y + 6, at(0.25), y, std::max(at(0.75) - at(0.25), 1.0),
      at(0.5), y, kWidth, y + 11, values.size());
}

std::string effects(const Run& run) {
  if (run.usable.empty()) return "";
  double high = 0;
  for (const Entry& e : run.usable) high = std::max(high, score_of(e));
  std::string rows;
  double y = 4;
  for (size_t k = 0; k < run.space.knobs.size(); k++) {
    std::map<int, std::vector<double>> by_value;
    for (const Entry& e : run.usable) by_value[run.space.parse(e.text)[k]].push_back(score_of(e));
    rows += fmt::format("<text class='value' x='0' y='{}'>{}: {:.0f} % of the spread</text>\n", y + 12,
                        escaped(run.space.knobs[k].name), 100 * importance(run, k));
    y += kRow;
    for (const auto& [value, values] : by_value) {
      rows += box(std::to_string(value), values, high, y);
      y += kRow;
    }
  }
  return fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='effect of each knob'>{}</svg>", kWidth, y + 4,
                     rows);
}

std::string noise_strip(const Run& run) {
  cli::LineChart chart{"the default against itself", {"probe"}, {"ratio"}, {}, "", 720, 220};
  cli::Line middle{"A/A", "", 0, {}}, low{"", "low", 3, {}, true}, high{"", "high", 3, {}, true};
  for (size_t i = 0; i < run.noise.size(); i++) {
    const Outcome& o = run.noise[i].outcome;
    middle.points.emplace_back(static_cast<double>(i + 1), o.ratio);
    low.points.emplace_back(static_cast<double>(i + 1), o.low);
    high.points.emplace_back(static_cast<double>(i + 1), o.high);
  }
  if (middle.points.size() < 2) return "<p>no probe</p>";
  chart.lines = {middle, low, high};
  return as_svg(chart);
}

std::string scatter(const Run& run) {
  std::vector<double> costs, ratios;
  for (const Entry& e : run.usable)
    if (e.outcome.cost > 0 && e.outcome.ratio > 0) costs.push_back(e.outcome.cost), ratios.push_back(e.outcome.ratio);
  if (costs.size() < 2) return "";
  const double right = *std::max_element(costs.begin(), costs.end()),
               top = *std::max_element(ratios.begin(), ratios.end());
  std::string dots;
  for (size_t i = 0; i < costs.size(); i++)
    dots += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3'/>", kLeft + costs[i] / right * (kWidth - kLeft - 20),
                        280 - ratios[i] / top * 260);
  return section(
      "Static model against measurement", fmt::format("Spearman's rank correlation {:.2f}", spearman(costs, ratios)),
      fmt::format(
          "<svg viewBox='0 0 {} 300' role='img' aria-label='static against measured'><g class='c0'>{}</g></svg>",
          kWidth, dots));
}

std::vector<std::string> command_of(const Request& request, const Run& run, const Entry& entry) {
  return generator_command(tools_of(request), run.space, run.space.parse(entry.text), "candidate");
}

std::string failures(const Request& request, const Run& run) {
  std::map<std::string, std::vector<const Entry*>> by_reason;
  for (const Entry& e : run.entries)
    if (!e.outcome.usable()) by_reason[name_of(e.outcome.reason)].push_back(&e);
  if (by_reason.empty()) return "<p>none failed</p>";
  std::string rows;
  for (const auto& [reason, all] : by_reason)
    rows += fmt::format("<tr class='call'><td>{}</td><td class='n'>{}</td><td>{}<br><code>{}</code></td></tr>\n",
                        reason, all.size(), escaped(all[0]->outcome.detail),
                        escaped(fmt::format("{}", fmt::join(command_of(request, run, *all[0]), " "))));
  return "<div class='wide'><table><tr><th>reason</th><th class='n'>candidates</th><th>the first of them, and how to "
         "build it "
         "again</th></tr>" +
         rows + "</table></div>";
}

std::string phases(const Run& run) {
  double compile = 0, measure = 0;
  for (const Entry& e : run.entries) compile += e.outcome.compile_seconds, measure += e.outcome.run_seconds;
  return fmt::format("<p>{:.1f} s in compilers, {:.1f} s in runners, over {} candidates.</p>", compile, measure,
                     run.entries.size());
}

std::string autoschedulers(const Run& run) {
  if (run.autoscheduled.empty()) return "<p>not asked for: --autoschedulers</p>";
  std::string rows;
  for (const Entry& e : run.autoscheduled)
    rows +=
        fmt::format("<tr><td>{}</td><td class='n'>{}</td><td>{}</td></tr>\n", escaped(e.id),
                    e.outcome.usable() ? fmt::format("{:.3f}", e.outcome.ratio) : "-",
                    e.outcome.usable() ? fmt::format("{:.3f} to {:.3f}", e.outcome.low, e.outcome.high)
                                       : escaped(fmt::format("{}: {}", name_of(e.outcome.reason), e.outcome.detail)));
  return "<div class='wide'><table><tr><th>autoscheduler</th><th class='n'>time over the default's</th><th>95 %, or "
         "why "
         "there is none</th></tr>" +
         rows + "</table></div>";
}

std::string coverage(const Run& run) {
  std::string rows;
  for (size_t k = 0; k < run.space.knobs.size(); k++) {
    std::map<int, int> seen;
    for (const Entry& e : run.entries) seen[run.space.parse(e.text)[k]]++;
    std::vector<std::string> words;
    for (const int value : run.space.knobs[k].legal) words.push_back(fmt::format("{} ({})", value, seen[value]));
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", escaped(run.space.knobs[k].name),
                        fmt::join(words, ", "), escaped(run.space.knobs[k].meaning));
  }
  return "<div class='wide'><table><tr><th>knob</th><th>values (candidates)</th><th>meaning</th></tr>" + rows +
         "</table></div>";
}

std::string as_page(const Request& request, const Run& run) {
  const std::string finding = run.result.is_object() ? run.result.at("finding").get<std::string>() : "not finished";
  const std::string provenance = run.result.is_object() ? run.result.dump(1) : "";
  return fmt::format(
             "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>lathe tune: {0}</title><meta "
             "name='viewport' content='width=device-width, initial-scale=1'><style>{1}</style></head><body><main>"
             "<h1>{0} on {2}</h1><p class='soft'>{3}. {4} of {5} legal configurations looked at, {6} usable; {7} "
             "raw.</p>\n",
             escaped(run.space.name()), cli::kPageStyle, run.space.row, finding, run.entries.size(),
             run.space.points.size(), run.usable.size(), run.space.raw) +
         section("Best so far", "Time of the best candidate over the default's; of a static model, its cost.",
                 best_so_far(run)) +
         section("Distribution", "How many candidates took which time.", distribution(run)) +
         section("Effect of each knob",
                 "Boxes are the middle half, the mark is the median; beside a knob, how much of the spread "
                 "its values explain.",
                 effects(run)) +
         scatter(run) +
         section("Noise", "The default against a copy of itself, over the session, with 95 % intervals.",
                 noise_strip(run)) +
         section("Halide's autoschedulers", "The same kernel with a schedule of theirs, for one thread.",
                 autoschedulers(run)) +
         section("Failures", "By reason.", failures(request, run)) +
         section("Coverage", "Which values were tried.", coverage(run)) +
         section("Phases", "Where the time went.", phases(run)) +
         section("Provenance", "The result as it stands in its file.", "<pre>" + escaped(provenance) + "</pre>") +
         "</main></body></html>\n";
}

std::string as_markdown(const Run& run) {
  std::string text = fmt::format(
      "### {} on {}\n\n{} of {} configurations, {} usable.\n\n| ratio | 95 % | configuration |\n|---|---|---|\n",
      run.space.name(), run.space.row, run.entries.size(), run.space.points.size(), run.usable.size());
  auto best = run.usable;
  std::sort(best.begin(), best.end(), [](const Entry& a, const Entry& b) { return score_of(a) < score_of(b); });
  for (size_t i = 0; i < std::min<size_t>(10, best.size()); i++)
    text += fmt::format("| {:.3f} | {:.3f} to {:.3f} | `{}` |\n", score_of(best[i]), best[i].outcome.low,
                        best[i].outcome.high, best[i].text);
  for (const Entry& e : run.autoscheduled)
    text += fmt::format(
        "| {} | {} | {} |\n", e.outcome.usable() ? fmt::format("{:.3f}", e.outcome.ratio) : "-",
        e.outcome.usable() ? fmt::format("{:.3f} to {:.3f}", e.outcome.low, e.outcome.high) : name_of(e.outcome.reason),
        e.id);
  return text;
}

std::string as_csv(const Run& run) {
  std::string text = "id,reason,ratio,low,high,fast,pairs,cost";
  for (const Knob& knob : run.space.knobs) text += "," + knob.name;
  text += "\n";
  for (const Entry& e : run.entries)
    text += fmt::format("{},{},{},{},{},{},{},{},{}\n", e.id, name_of(e.outcome.reason), e.outcome.ratio, e.outcome.low,
                        e.outcome.high, e.outcome.fast, e.outcome.pairs, e.outcome.cost,
                        fmt::join(run.space.parse(e.text), ","));
  return text;
}

void write_text(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  if (!out.flush()) throw Infrastructure(fmt::format("{} cannot be written", file.string()));
  fmt::print("{}\n", file.string());
}

}  // namespace

int command_report(const Request& request) {
  for (const std::string& path : request.paths) {
    const Run run = read_run(path);
    if (request.markdown) {
      fmt::print("{}", as_markdown(run));
      continue;
    }
    write_text(run.folder / "report.html", as_page(request, run));
    write_text(run.folder / "candidates.csv", as_csv(run));
  }
  return 0;
}

}  // namespace lathe::tune
