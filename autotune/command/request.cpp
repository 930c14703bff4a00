#include "request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "../../bench/cases.h"
#include "../../cli/machine_report.h"
#include "../../cli/verbs.h"
#include "../configuration.h"
#include "../files.h"
#include "../hash.h"
#include "../mca.h"
#include "../sass_measurer.h"
#include "maps.h"
#include "registry.h"
#include "rows.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

int last_allowed_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed)) last = cpu;
  return last;
}

Shape parse_shape(const std::string& text) {
  Shape shape{0, 0, 0};
  std::string rest = text;
  while (!rest.empty()) {
    const size_t comma = rest.find(','), equals = rest.find('=');
    const std::string name = rest.substr(0, equals);
    int64_t* const field = name == "D" || name == "K" ? &shape.D
                           : name == "M"              ? &shape.M
                           : name == "V"              ? &shape.V
                                                      : nullptr;
    if (equals == std::string::npos || !field)
      throw std::invalid_argument(
          fmt::format("--problem {}: expected D=64,V=64 (and M=128 for a map that projects), or a "
                      "group of bench/shapes.def",
                      text));
    *field = std::stoll(rest.substr(equals + 1));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  if (shape.V == 0) shape.V = shape.D;
  if (shape.D < 1 || shape.V < 1) throw std::invalid_argument(fmt::format("--problem {}: widths are positive", text));
  return shape;
}

// Here, or wherever a wrapper takes them; a model can do without.
bool candidates_run(const Request& request) {
  return request.measure == "native" || !request.wrap.empty() || row_runs(this_processor(), row_of(request).c_str());
}

}  // namespace

std::vector<Instance> instances(bool each, const std::string& row) {
  std::vector<Instance> all;
  std::set<std::string> seen;
  const auto alike = [&](const lathe::Entry& e) { return of_device(e.row) == of_device(row.c_str()); };
  const auto registry = lathe::registry();
  const bool any = std::none_of(registry.begin(), registry.end(), alike);
  for (const lathe::Entry& e : registry) {
    if (!any && !alike(e)) continue;
    Instance instance{e.kernel, e.axis, each ? "" : e.kernel};
    if (each) instance.key = instance.name();
    if (seen.insert(instance.key).second) all.push_back(instance);
  }
  return all;
}

Instance find_instance(const std::string& name, const std::string& row) {
  std::string known;
  for (const bool each : {false, true})
    for (const Instance& instance : instances(each, row)) {
      if (instance.key == name) return instance;
      if (!each) known += " " + instance.key;
    }
  throw std::invalid_argument(
      fmt::format("unknown kernel '{}'; expected one of{}, alone or with :INSTANCE", name, known));
}

std::string row_of(const Request& request) {
  if (!request.row.empty()) return request.row;
  for (const char* row : row_names())
    if (row_runs(this_processor(), row)) return row;
  throw std::invalid_argument("no row runs on this processor; give --row");
}

std::string uarch_of(const Request& request) {
  return request.tune_for.empty() ? uarch(this_processor()) : request.tune_for;
}

Tools tools_of(const Request& request) {
  Tools tools;
  tools.generator = request.generator.empty() ? cli::program_folder() + "/lathe-gen" : request.generator;
  tools.linker = candidates_run(request) ? request.linker : "";
  tools.records = request.records.empty() ? cli::source_tree() + "/schedules/records" : request.records;
  tools.tune_for = uarch_of(request);
  tools.limits.seconds = request.compile_limit;
  tools.limits.processor_seconds = static_cast<uint64_t>(2 * request.compile_limit) + 1;
  return tools;
}

std::unique_ptr<Measurer> measurer_of(const Request& request, const Tools& tools) {
  Runner runner;
  runner.program = request.runner.empty() ? cli::program_folder() + "/lathe-runner" : request.runner;
  runner.emulated = request.emulated;
  runner.limits.seconds = request.run_limit;
  runner.limits.processor_seconds = static_cast<uint64_t>(2 * request.run_limit) + 1;
  if (!request.wrap.empty()) {
    runner.wrap = wrapped_words(request.wrap);
    // an emulator reserves the whole address space of what it emulates
    runner.limits.memory = 0;
    runner.emulated = runner.emulated || runner.wrap[0].find("qemu") != std::string::npos;
  }
  if (!request.push.empty()) runner.push = wrapped_words(request.push);
  const Mca model{request.mca, request.mcpu, cli::program_folder() + "/lathe-runner"};
  if (request.measure == "sass")
    return sass_measurer(find_cuda_tools(cli::program_folder() + "/.."), request.mcpu, tools,
                         cli::program_folder() + "/lathe-runner");
  if (request.measure == "native") {
    if (!request.rate) return runner_measurer(runner);
    return rated_measurer(runner_measurer(runner), mca_measurer(model, tools, nullptr));
  }
  return mca_measurer(model, tools, candidates_run(request) ? runner_measurer(runner) : nullptr);
}

std::vector<Shape> shapes_of(const Request& request, const Instance& instance) {
  const FeatureMap* map = has_map(instance.kernel) ? find_map(instance.axis.c_str()) : nullptr;
  const bool projects = map && map->projects();
  std::vector<std::string> problems = request.problems;
  if (problems.empty()) problems = {projects ? "projected" : "headline"};
  std::vector<Shape> shapes;
  const auto add = [&](const Shape& shape) {
    if (std::none_of(shapes.begin(), shapes.end(),
                     [&](const Shape& s) { return s.D == shape.D && s.M == shape.M && s.V == shape.V; }))
      shapes.push_back(shape);
  };
  for (const std::string& problem : problems) {
    bool found = false;
    for (const bench::Shape& shape : bench::shapes()) {
      if (shape.group != problem) continue;
      found = true;
      // past the maps, keys are as wide as the map made them
      const bool mapped = !has_map(instance.kernel);
      add({mapped && shape.projections > 0 ? 2 * shape.projections : shape.width, mapped ? 0 : shape.projections,
           shape.value_width});
    }
    if (!found) add(parse_shape(problem));
  }
  return shapes;
}

std::string shapes_text(const std::vector<Shape>& shapes) {
  std::string text;
  for (const Shape& s : shapes)
    text += fmt::format("{}D={} {}V={}", text.empty() ? "" : ", ", s.D, s.M > 0 ? fmt::format("M={} ", s.M) : "", s.V);
  return text;
}

Space space_of(const Request& request, const Tools& tools, const Instance& instance) {
  Space space = list_space(tools, instance.kernel, instance.axis, row_of(request));
  std::set<std::string> pinned;
  for (const std::string& text : request.pins) {
    const Pin pin = parse_pin(text);
    pinned.insert(pin.knob);
    space.pin(pin);
  }
  for (size_t k = 0; k < space.knobs.size(); k++)
    if (space.knobs[k].numerics && !pinned.contains(space.knobs[k].name))
      space.pin({space.knobs[k].name, {space.record[k]}});
  return space;
}

std::string generator_name(const Tools& tools) { return hex(hash(content_of(tools.generator))); }

fs::path root_of(const Request& request) {
  if (!request.out.empty()) return request.out;
  return fs::path(cli::program_folder()).parent_path() / "tune";
}

fs::path folder_of(const Request& request, const Tools& tools, const Space& space, const std::vector<Shape>& shapes) {
  const std::string what =
      fmt::format("{}|{}|{}|{}|{}|{}|{}", uarch_of(request), space.hash(), fmt::join(space.points, ","),
                  generator_name(tools), shapes_text(shapes), request.measure + request.mcpu, request.wrap);
  std::string name = space.name();
  std::replace(name.begin(), name.end(), ':', '-');
  return root_of(request) / fmt::format("{}-{}-{}", name, space.row, hex(hash(what)).substr(0, 8));
}

SweepOptions sweep_options(const Request& request, const Tools& tools, const Space& space, const Instance& instance) {
  SweepOptions options;
  options.effort = effort_of(request.effort);
  if (request.evals > 0) options.effort.evals = request.evals;
  if (request.strategy == "exhaustive" && request.evals == 0)
    options.effort.evals = static_cast<int>(space.points.size());
  if (request.minutes > 0) options.effort.seconds = 60 * request.minutes;
  if (request.pairs > 0) options.effort.pairs = request.pairs;
  options.strategy.name = request.strategy;
  options.strategy.seed = request.seed;
  options.strategy.seeds = {space.fallback, space.record};
  const auto elsewhere = winners_elsewhere(tools.records, space);
  options.strategy.seeds.insert(options.strategy.seeds.end(), elsewhere.begin(), elsewhere.end());
  options.shard = parse_shard(request.shard);
  options.shapes = shapes_of(request, instance);
  options.folder = folder_of(request, tools, space, options.shapes);
  options.jobs = request.jobs;
  options.autoschedulers = request.autoschedulers;
  options.cpu = request.cpu == -2 && request.wrap.empty() ? last_allowed_cpu() : std::max(request.cpu, -1);
  return options;
}

Circumstances circumstances_of(const Request& request, const Tools& tools, const Instance& instance,
                               const SweepOptions& options) {
  return {instance.key,
          uarch_of(request),
          request.measure == "native" ? (request.emulated ? "emulated" : "native") : "static-" + request.measure,
          shapes_text(options.shapes),
          generator_name(tools),
          request.command,
          date_now(),
          request.wrap.empty() ? cli::machine_report() : nlohmann::json{{"wrap", request.wrap}},
          options.shapes,
          options.strategy,
          true};
}

}  // namespace lathe::tune
