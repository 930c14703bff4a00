#include "result.h"

#include <cmath>
#include <cstdlib>
#include <ctime>

namespace lathe::tune {

namespace {

using Json = nlohmann::json;

double rounded(double value, int digits = 4) {
  const double scale = std::pow(10, digits);
  return std::round(value * scale) / scale;
}

Json ratio_json(const Outcome& o) {
  return {{"ratio", rounded(o.ratio)},
          {"ci95", {rounded(o.low), rounded(o.high)}},
          {"pairs", o.fast},
          {"conclusive", o.conclusive}};
}

Json params(const Space& space, const Point& point) {
  Json all = Json::object();
  // the numerical ones belong to the whole row
  for (size_t k = 0; k < space.knobs.size(); k++)
    if (!space.knobs[k].numerics) all[space.knobs[k].name] = point[k];
  return all;
}

}  // namespace

std::string date_now() {
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  const std::time_t now = fixed ? std::strtoll(fixed, nullptr, 10) : std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Json as_json(const Result& result, const Space& space, const Circumstances& c) {
  const bool timed = c.fidelity == "native";
  Json failed = Json::object(), runners_up = Json::array();
  for (const auto& [reason, count] : result.counts)
    if (reason != Reason::ok) failed[name_of(reason)] = count;
  for (const Entry& entry : result.finals)
    if (space.parse(entry.text) != result.winner && runners_up.size() < 3)
      runners_up.push_back(
          {{"params", params(space, space.parse(entry.text))},
           {timed ? "vs_default" : "cost", timed ? ratio_json(entry.outcome) : Json(entry.outcome.cost)}});
  Json evidence = {
      {"fidelity", c.fidelity},
      {"metric", timed                         ? "ns_per_token"
                 : c.fidelity == "emulated"    ? "none"
                 : c.fidelity == "static-sass" ? "modelled_ps_per_token"
                                               : "cycles"},
      {"problem", {{"text", c.problem}, {"shapes", c.shapes}}},
      {"machine", c.machine},
      {"date", c.date},
      {"versions", {{"halide", space.halide}, {"generator", c.generator}, {"lathe", c.machine.value("lathe", "")}}},
      {"search",
       {{"strategy", c.strategy.name},
        {"seed", c.strategy.seed},
        {"evals", result.evals},
        {"valid", space.points.size()},
        {"raw", space.raw},
        {"failed", failed},
        {"seconds", std::round(result.seconds)},
        {"in_compilers", std::round(result.compile_seconds)},
        {"in_measurers", std::round(result.measure_seconds)}}},
      {"verified", c.verified ? Json{{"reference", "float64"}, {"runs_bit_equal", 3}} : Json("nothing was run")},
      {"runner_up", runners_up}};
  // what did not measure time claims none
  if (timed) {
    evidence["noise"] = {{"aa_half_width", result.noise.empty() ? 0 : rounded(result.noise.back())},
                         {"smallest_effect", rounded(result.smallest_effect)},
                         {"probes", result.noise.size()}};
    if (result.versus_default.usable()) evidence["vs_default"] = ratio_json(result.versus_default);
    if (result.versus_current.usable()) evidence["vs_record"] = ratio_json(result.versus_current);
  }
  Json all = {{"schema", "lathe.result/1"},
              {"kernel", space.kernel},
              {"axis", space.axis},
              {"key", c.record_key},
              {"row", space.row},
              {"uarch", c.uarch},
              {"finding", name_of(result.finding)},
              {"detail", result.detail},
              {"command", c.command},
              {"evidence", evidence}};
  if (result.winner.empty()) return all;
  all["params"] = params(space, result.winner);
  for (size_t k = 0; k < space.knobs.size(); k++)
    if (space.knobs[k].numerics) all[space.knobs[k].name] = result.winner[k];
  return all;
}

}  // namespace lathe::tune
