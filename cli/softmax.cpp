// The rival: onnxruntime's softmax attention, timed by softmax_curves.py in the environment of the benchmark's peers.
#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "headline.h"
#include "machine_report.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

using Json = nlohmann::json;

// For a shell: nothing in it means anything.
std::string quoted(const std::string& text) {
  std::string safe;
  for (char c : text) safe += c == '\'' ? "'\\''" : std::string(1, c);
  return "'" + safe + "'";
}

// Empty, or why there is no environment.
std::string fetch(const Tell& progress) {
  if (std::filesystem::exists(peers_python())) return "";
  const std::string script = source_tree() + "/bench/peers/fetch.sh";
  if (!std::filesystem::exists(script)) return fmt::format("{} is not there to fetch onnxruntime with", script);
  progress(0, "fetching onnxruntime (once)");
  const std::string command = fmt::format("sh {} {} --python 1>&2", quoted(script), quoted(peers_folder()));
  if (std::system(command.c_str()) == 0 || std::filesystem::exists(peers_python())) return "";
  return "onnxruntime could not be fetched; bench/peers/fetch.sh says why";
}

void take(Headline& headline, const Json& said) {
  if (said.contains("version")) {
    headline.rival = said.at("version");
    return;
  }
  const std::string name = said.at("curve");
  Curve* curve = name == "causal" ? &headline.softmax : &headline.unmasked;
  for (Generation& generation : headline.generations)
    if (said.contains("length") && said.at("length") == generation.length)
      curve = name == "cached" ? &generation.cached : &generation.stateless;
  if (said.contains("stopped"))
    curve->stopped = said.at("stopped");
  else
    curve->points.push_back({said.contains("tokens") ? said.at("tokens") : said.at("position"), said.at("seconds")});
}

std::string note_of(const Json& said) {
  if (said.contains("version")) return said.at("version");
  const std::string name = said.at("curve");
  if (said.contains("length")) return fmt::format("{} softmax, position {}", name, said.at("position").get<int64_t>());
  return fmt::format("{} softmax, {} tokens", name, said.at("tokens").get<int64_t>());
}

}  // namespace

void time_softmax(Headline& headline, bool quick, int threads, const Tell& progress) {
  headline.no_rival = fetch(progress);
  if (!headline.no_rival.empty()) return;
  const double seconds = quick ? 4 : 20;
  Json request = {{"heads", kHeadlineHeads},
                  {"width", kHeadlineWidth},
                  {"threads", threads},
                  {"positions", quick ? 8 : kPositions},
                  {"seconds", seconds}};
  request["lengths"] = Json::array();
  for (const Generation& generation : headline.generations) request["lengths"].push_back(generation.length);
  request["sweep"] = Json::array();
  for (const Point& point : headline.sweep.points) request["sweep"].push_back(static_cast<int64_t>(point.x));
  const std::string command =
      fmt::format("{} -B {} {} {}", quoted(peers_python()), quoted(source_tree() + "/cli/softmax_curves.py"),
                  quoted(source_tree() + "/bench/peers"), quoted(request.dump()));
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) {
    headline.no_rival = "its process could not be started";
    return;
  }
  // Both generations at every position, then two sweeps that may stop early.
  const double lines = 4.0 * request["positions"].get<int>() + 2.0 * static_cast<double>(headline.sweep.points.size());
  double seen = 0;
  std::array<char, 4096> line;
  while (std::fgets(line.data(), line.size(), pipe)) {
    const Json said = Json::parse(line.data(), nullptr, false);
    if (!said.is_object()) continue;
    take(headline, said);
    progress(++seen / lines, note_of(said));
  }
  const int status = pclose(pipe);
  // Half a generation says nothing about the whole.
  for (Generation& generation : headline.generations)
    for (Curve* curve : {&generation.cached, &generation.stateless})
      if (curve->points.size() != request["positions"].get<size_t>()) curve->points.clear();
  if (status != 0)
    headline.no_rival = headline.rival.empty()
                            ? "onnxruntime did not start in its environment"
                            : fmt::format("its process ended early (status {})", WEXITSTATUS(status));
}

}  // namespace lathe::cli
