// One self-contained page: bars for the share of the peak and for the times beside the peers.
#include <fmt/format.h>

#include <algorithm>

#include "results.h"

namespace lathe::bench {

namespace {

constexpr const char* kStyle =
    "body{font:15px system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}"
    "h1{font-size:1.5em}h2{font:600 .95em ui-monospace,monospace;margin:1.8em 0 .3em}p{color:#555;margin:.3em 0}"
    "svg{display:block;width:100%}text{font:13px system-ui,sans-serif;fill:#222}"
    ".own{fill:#2a6f97}.peer{fill:#b8c4cc}.peak{fill:#e9c46a}";

std::string escaped(const std::string& text) {
  std::string safe;
  for (char letter : text)
    safe += letter == '<' ? "&lt;" : letter == '>' ? "&gt;" : letter == '&' ? "&amp;" : std::string(1, letter);
  return safe;
}

struct Bar {
  std::string name, value, kind;
  double length;  // of the longest
};

// left: the room for names, wide: for the longest bar; what is left of 960 is for the values.
std::string chart(const std::vector<Bar>& bars, int left, int wide) {
  constexpr int kLine = 24;
  double longest = 1e-30;
  for (const Bar& bar : bars) longest = std::max(longest, bar.length);
  std::string svg = fmt::format("<svg viewBox=\"0 0 960 {}\" role=\"img\">", kLine * static_cast<int>(bars.size()));
  int y = 0;
  for (const Bar& bar : bars) {
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", left - 8, y + 16, escaped(bar.name));
    svg += fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"18\"/>", bar.kind, left, y + 2,
                       std::max(1.0, bar.length / longest * wide));
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>", left + bar.length / longest * wide + 8, y + 16,
                       escaped(bar.value));
    y += kLine;
  }
  return svg + "</svg>\n";
}

}  // namespace

std::string as_html(const Results& results) {
  std::string page = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>lathe "
      "bench</title><style>{}</style></head>"
      "<body><h1>lathe bench</h1><p>{}</p>\n<p>Useful flops (4 T H K V) as a share of the FMA peak; then times, "
      "shorter "
      "is better. A ratio is the median of pairs measured in turn; ? marks too few of them for a claim.</p>\n",
      kStyle, escaped(machine_line(results)));
  std::vector<Bar> shares;
  for (const CaseRow& row : results.rows)
    if (row.error.empty() && row.counters.contains("peak_fraction"))
      shares.push_back({row.name, percent(row, "peak_fraction") + " %", "peak", row.counters.at("peak_fraction")});
  if (!shares.empty()) page += "<h2>share of the peak</h2>" + chart(shares, 500, 380);
  for (const CaseRow& row : results.rows) {
    page += "<h2>" + escaped(row.name) + "</h2>";
    std::vector<Bar> bars;
    if (row.error.empty() && row.seconds > 0)
      bars.push_back({"lathe", duration(row.seconds) + "  " + row.label, "own", row.seconds});
    else
      page += "<p>lathe: " + escaped(row.error.empty() ? "not selected" : row.error) + "</p>";
    for (const PeerRow& peer : row.peers) {
      if (!peer.error.empty())
        page += "<p>" + escaped(peer.name + ": " + peer.error) + "</p>";
      else
        bars.push_back({peer.name,
                        fmt::format("{}  {} {}", duration(peer.seconds), ratio(row, "vs_" + peer.name), peer.label),
                        "peer", peer.seconds});
    }
    if (!bars.empty()) page += chart(bars, 170, 460);
  }
  return page + "</body></html>\n";
}

}  // namespace lathe::bench
