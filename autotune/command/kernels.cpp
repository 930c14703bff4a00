// `lathe tune KERNEL ...`: sweeps, and what is said at their end.
#include <fmt/format.h>

#include <fstream>

#include "../../cli/table.h"
#include "../interrupt.h"
#include "../watcher.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

void write_json(const fs::path& file, const nlohmann::json& json) {
  const fs::path fresh = file.string() + ".new";
  std::ofstream out(fresh);
  out << json.dump(1) << "\n";
  out.close();
  if (!out) throw Infrastructure(fmt::format("{} cannot be written", fresh.string()));
  fs::rename(fresh, file);
}

void say_ratio(const char* versus, const Outcome& o) {
  if (o.usable() && o.pairs > 0)
    fmt::print("  {:.3f} of {}'s time [{:.3f}, {:.3f}], {} fast pairs{}\n", o.ratio, versus, o.low, o.high, o.fast,
               o.conclusive ? "" : ": inconclusive");
}

void say_result(const Result& result, const Space& space, const fs::path& folder) {
  fmt::print("{} on {}: {}\n", cli::bold(space.name()), space.row, name_of(result.finding));
  if (!result.winner.empty()) fmt::print("  {}\n", space.text(result.winner));
  say_ratio("the record", result.current == space.fallback ? Outcome{} : result.versus_current);
  say_ratio("the default", result.versus_default);
  if (!result.detail.empty()) fmt::print("  {}\n", result.detail);
  std::string counts;
  for (const auto& [reason, count] : result.counts) counts += fmt::format(", {} {}", count, name_of(reason));
  const double own = result.seconds - result.compile_seconds - result.measure_seconds;
  fmt::print(
      "  {} candidates of {}{}; {:.0f} s, of which {:.0f} in compilers, {:.0f} in measurers, {:.1f} % elsewhere; "
      "effects "
      "below {:.1f} % are noise\n  {}\n",
      result.evals, space.points.size(), counts, result.seconds, result.compile_seconds, result.measure_seconds,
      result.seconds > 0 ? 100 * own / result.seconds : 0, 100 * result.smallest_effect, folder.string());
}

}  // namespace

Result sweep_instance(const Request& request, const Instance& instance, nlohmann::json& written) {
  const Tools tools = tools_of(request);
  const Space space = space_of(request, tools, instance);
  const auto measurer = measurer_of(request, tools);
  const SweepOptions options = sweep_options(request, tools, space, instance);
  Result result;
  {
    Watcher watcher(space.name(), options.effort.seconds, request.json);
    Sweep sweep(space, tools, *measurer, options, [&](const Progress& progress) { watcher.at(progress); });
    result = sweep.run();
  }
  Circumstances circumstances = circumstances_of(request, tools, instance, options);
  circumstances.fidelity = measurer->fidelity();
  circumstances.verified = measurer->verifies();
  written = as_json(result, space, circumstances);
  if (options.shard.count == 1 && result.finding != Finding::interrupted)
    write_json(options.folder / "result.json", written);
  if (request.json)
    fmt::print("{}\n", nlohmann::json{{"event", "result"}, {"result", written}}.dump());
  else
    say_result(result, space, options.folder);
  std::fflush(stdout);
  return result;
}

int command_sweep(const Request& request) {
  std::vector<Instance> wanted;
  for (const std::string& name : request.kernels) wanted.push_back(find_instance(name, row_of(request)));
  watch_interrupts();
  int code = 5;
  for (const Instance& instance : wanted) {
    nlohmann::json written;
    const Finding finding = sweep_instance(request, instance, written).finding;
    // one gain is a gain; what stops a sweep is worth more than either
    const int mine = exit_code(finding);
    code = mine == 0 && code == 5 ? 0 : mine != 0 && mine != 5 ? mine : code;
    if (interrupted()) return 75;
  }
  return code;
}

}  // namespace lathe::tune
