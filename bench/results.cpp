#include "results.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lathe::bench {

namespace {

using Json = nlohmann::json;

double seconds_of(const Json& row) {
  const std::string unit = row.value("time_unit", "ns");
  return row.value("real_time", 0.0) * (unit == "ms" ? 1e-3 : unit == "us" ? 1e-6 : 1e-9);
}

// "peer:ggml/causal/..." is "ggml" and "causal/...".
std::pair<std::string, std::string> split_name(const std::string& name) {
  const size_t slash = name.find('/');
  return {name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

Results read_results(const std::string& text) {
  Results results;
  const Json json = Json::parse(text);
  for (const auto& [key, value] : json.at("context").items())
    if (value.is_string()) results.machine[key] = value;
  std::map<std::string, size_t> places;
  const auto place = [&](const std::string& name) -> CaseRow& {
    const auto [found, added] = places.try_emplace(name, results.rows.size());
    if (added) results.rows.emplace_back().name = name;
    return results.rows[found->second];
  };
  for (const Json& row : json.at("benchmarks")) {
    const auto [who, name] = split_name(row.at("name"));
    const std::string label = row.value("label", ""), error = row.value("error_message", "");
    CaseRow& into = place(name);
    if (who != "lathe") {
      into.peers.push_back({who.substr(who.find(':') + 1), label, error, seconds_of(row)});
      continue;
    }
    into.label = label;
    into.error = error;
    into.seconds = seconds_of(row);
    for (const auto& [key, value] : row.items())
      if (value.is_number()) into.counters[key] = value;
  }
  return results;
}

std::string percent(const CaseRow& row, const std::string& counter) {
  const auto found = row.counters.find(counter);
  if (found == row.counters.end()) return "";
  if (found->second == 0) return "inconclusive";
  return fmt::format("{:.1f}{}", 100 * found->second, row.counters.at("conclusive") != 0 ? "" : "?");
}

std::string ratio(const CaseRow& row, const std::string& counter) {
  const auto found = row.counters.find(counter), sure = row.counters.find(counter + "_conclusive");
  if (found == row.counters.end()) return "";
  if (found->second == 0) return "inconclusive";
  return fmt::format("{:.2f}x{}", found->second, sure != row.counters.end() && sure->second != 0 ? "" : "?");
}

std::string duration(double seconds) {
  if (seconds <= 0) return "";
  return seconds < 1e-3 ? fmt::format("{:.2f} us", 1e6 * seconds) : fmt::format("{:.2f} ms", 1e3 * seconds);
}

std::string machine_line(const Results& results) {
  const auto get = [&](const char* key) {
    const auto found = results.machine.find(key);
    return found == results.machine.end() ? std::string("?") : found->second;
  };
  return fmt::format("{}, {} CPUs, {}; FMA peak of one thread {} GFLOP/s ({}); {}", get("cpu_model"), get("cpus"),
                     get("cpu_features"), get("fma_peak_gflops"), get("fma_instructions"), get("date"));
}

std::string as_table(const Results& results) {
  size_t width = 4;
  for (const CaseRow& row : results.rows) width = std::max(width, row.name.size());
  std::string text = fmt::format("{}\n\n{:<{}}  {:>10}  {:>8}  {:>7}  {:>7}  {:>8}\n", machine_line(results), "case",
                                 width, "time", "GFLOP/s", "peak %", "best %", "actual %");
  for (const CaseRow& row : results.rows) {
    const bool timed = row.error.empty() && row.seconds > 0;
    text +=
        timed ? fmt::format("{:<{}}  {:>10}  {:>8.1f}  {:>7}  {:>7}  {:>8}\n", row.name, width, duration(row.seconds),
                            row.counters.at("useful_gflops"), percent(row, "peak_fraction"),
                            percent(row, "peak_fraction_best"), percent(row, "actual_fraction"))
              : fmt::format("{:<{}}  {}\n", row.name, width, row.error.empty() ? "lathe was not selected" : row.error);
    if (const auto share = percent(row, "stream_fraction"); !share.empty())
      text += fmt::format("    {} % of an in-place stream over the same bytes ({:.1f} GB/s)\n", share,
                          row.counters.at("stream_gbytes"));
    for (const char* counter : {"vs_plain", "vs_single_keys", "vs_BHTD", "vs_f32", "vs_one_thread", "fma_scaling"})
      if (const auto value = ratio(row, counter); !value.empty()) text += fmt::format("    {} {}\n", counter, value);
    for (const PeerRow& peer : row.peers) {
      const auto times = timed ? ratio(row, "vs_" + peer.name) : "";
      text += fmt::format("    {:<20} {:>10}  {:>12}  {}\n", peer.name, duration(peer.seconds), times,
                          peer.error.empty() ? peer.label : peer.error);
    }
  }
  return text +
         "\npeak %: useful flops, 4 T H K V, of the FMA peak (best %: best against best); actual %: with the "
         "causal triangle and projections."
         "\n2.00x beside a name: lathe took half its time, in the median of the pairs in which both were undisturbed; "
         "? marks"
         "\ntoo few of those for a claim.\n";
}

}  // namespace lathe::bench
