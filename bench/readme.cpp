// The table of speed in README.md, between its markers.
#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "results.h"

namespace lathe::bench {

std::string as_markdown(const Results& results) {
  std::string text =
      fmt::format("{}.\n\n| case | time | useful GFLOP/s | % of peak | beside it |\n|---|---|---|---|---|\n",
                  machine_line(results));
  for (const CaseRow& row : results.rows) {
    if (!row.error.empty() || row.seconds <= 0) continue;
    std::string beside;
    const auto add = [&](const std::string& part) { beside += (beside.empty() ? "" : ", ") + part; };
    if (const auto share = percent(row, "stream_fraction"); !share.empty())
      add(share + " % of an in-place stream over the same bytes");
    if (const auto value = ratio(row, "vs_plain"); !value.empty()) add(value + " the speed of the plain scan");
    if (const auto value = ratio(row, "vs_single_keys"); !value.empty())
      add(value + " the speed of a key for each token");
    if (const auto value = ratio(row, "vs_BHTD"); !value.empty()) add(value + " the speed of [B,H,T,D]");
    if (const auto value = ratio(row, "vs_f32"); !value.empty()) add(value + " the speed of float32");
    if (const auto value = ratio(row, "vs_one_thread"); !value.empty())
      add(fmt::format("{} the speed of one thread (FMA: {})", value, ratio(row, "fma_scaling")));
    for (const PeerRow& peer : row.peers)
      if (peer.error.empty()) add(fmt::format("{} {}", peer.name, ratio(row, "vs_" + peer.name)));
    const auto peak = percent(row, "peak_fraction");
    text += fmt::format("| `{}` | {} | {:.0f} | {} | {} |\n", row.name, duration(row.seconds),
                        row.counters.at("useful_gflops"), peak.empty() ? "" : peak, beside);
  }
  return text +
         "\nAnswers are checked against float64 before anything is timed. `NAME 2.00x`: lathe took half the time of "
         "NAME"
         " in pairs measured in turn; `?` marks fewer undisturbed pairs than a claim needs.\n";
}

bool rewrite_between_markers(const std::string& file, const std::string& text, std::string* why) {
  const std::string begin = "<!-- bench:begin -->", end = "<!-- bench:end -->";
  std::ifstream in(file);
  std::stringstream old;
  old << in.rdbuf();
  const std::string page = old.str();
  const size_t first = page.find(begin), last = page.find(end);
  if (!in || first == std::string::npos || last == std::string::npos || last < first) {
    *why = fmt::format("{} has no {} ... {}", file, begin, end);
    return false;
  }
  std::ofstream out(file);
  out << page.substr(0, first) << begin << "\n" << text << page.substr(last);
  out.flush();
  if (!out) *why = file + " could not be written";
  return static_cast<bool>(out);
}

}  // namespace lathe::bench
