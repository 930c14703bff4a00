// lathe-gen: one kernel for one target row, ahead of time. One process an object: names stay stable, a crash stays
// here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "../schedules/census.h"
#include "../schedules/records.h"
#include "../schedules/schedule.h"
#include "../schedules/spaces.h"
#include "../schedules/stores.h"
#include "../schedules/targets.h"
#include "../schedules/tile_loop.h"
#include "../schedules/vectors.h"
#include "../schedules/walks.h"
#include "autoschedulers.h"
#include "compile_errors.h"
#include "cubins.h"
#include "estimates.h"
#include "grids.h"
#include "kernel.h"
#include "launches.h"
#include "trips.h"

namespace lathe::gen {

std::vector<Announced>& announced() {
  static std::vector<Announced> all;
  return all;
}

namespace {

using Output = Halide::OutputFileType;

struct Options {
  std::string kernel, axis, row, records, tune_for = "generic", directory = ".", sanitize;
  std::string autoscheduler;
  std::vector<std::string> emit{"object"}, set, problems, cubins;
  CudaTools cuda;
  bool asserts = false, runtime = false, space = false, list = false;
};

std::string text_of(const Numbers& numbers) {
  std::string text;
  for (const auto& [name, value] : numbers) text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  return text;
}

// What is being made, for messages.
std::string subject(const Options& options) {
  return fmt::format("{}{}{} for {}", options.runtime ? "the runtime" : options.kernel, options.axis.empty() ? "" : " ",
                     options.axis, options.row);
}

// The one line that the library's registry is made of.
void write_entry(const std::string& path, const Options& options, const std::string& symbol, const Grains& grains,
                 const Choice& choice) {
  std::ofstream out(path);
  out << fmt::format("LATHE_ENTRY({}, \"{}\", \"{}\", \"{}\", {}, {}, {}, {}, \"{}\", \"{}\")\n", symbol,
                     options.kernel, options.axis, options.row, choice.numbers.at("chunk"), grains.key, grains.value,
                     grains.rows, text_of(choice.numbers), choice.source);
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

Kernel define(const Options& options, const Choice& choice) {
  for (const Announced& a : announced())
    if (a.name == options.kernel) {
      const auto number = [&](const char* name) {
        const auto found = choice.numbers.find(name);
        return found == choice.numbers.end() ? 1 : found->second;
      };
      Kernel kernel({options.kernel, options.axis}, choice.numbers.at("chunk"), number("row_tile"));
      a.define(kernel);
      return kernel;
    }
  throw std::logic_error("check_axis() lets no unknown kernel through");
}

// All that an axis has, as CMake read it: "maps=identity,elu1 ...".
std::vector<std::string> values_of(const std::string& axis) {
  std::vector<std::string> values;
  std::istringstream axes(LATHE_AXES);
  for (std::string one; axes >> one;) {
    if (!one.starts_with(axis + "=")) continue;
    std::istringstream names(one.substr(axis.size() + 1));
    for (std::string name; std::getline(names, name, ',');) values.push_back(name);
  }
  return values;
}

void check_axis(const Instance& instance) {
  for (const Announced& a : announced()) {
    if (a.name != instance.kernel) continue;
    const std::vector<std::string> values = values_of(a.axis);
    if (values.empty() && !instance.axis.empty())
      throw std::invalid_argument(
          fmt::format("--axis {}: {} has one instance, and no axis", instance.axis, instance.kernel));
    if (!values.empty() && std::find(values.begin(), values.end(), instance.axis) == values.end())
      throw std::invalid_argument(
          fmt::format("--axis '{}': expected one of {}", instance.axis, fmt::join(values, ", ")));
    return;
  }
  std::vector<std::string> names;
  for (const Announced& a : announced()) names.emplace_back(a.name);
  throw std::invalid_argument(
      fmt::format("unknown kernel '{}': expected one of {}", instance.kernel, fmt::join(names, ", ")));
}

// Spaces and the look-up of records read a target without Halide's help; here they are held against it.
void check_vectors(const Halide::Target& target) {
  const int lanes = vectors_of(target.to_string()).lanes, known = target.natural_vector_size<float>();
  if (lanes != known)
    throw std::logic_error(
        fmt::format("schedules/vectors.cpp says {} lanes for {}, Halide {}", lanes, target.to_string(), known));
}

// For each problem a line a loop, in the order of the code: how often its body runs, and whether it holds no loop; then
// an empty line.
std::string trips_text(const Halide::Internal::Stmt& body, const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) {
    for (const LoopTrips& loop : count_trips(body, parse_estimates(problem)))
      text += fmt::format("{} {} {}\n", loop.trips, loop.innermost ? 1 : 0, loop.name);
    text += "\n";
  }
  return text;
}

// A line a launch: the device's function, the threads of a block, and the bytes that they share.
std::string launches_text(const Halide::Internal::Stmt& body) {
  std::string text;
  for (const Launch& l : launches_of(body))
    text += fmt::format("{} {} {}\n", l.entry, fmt::join(l.threads, " "), l.shared);
  return text;
}

// For each problem its launches, then an empty line.
std::string grids_text(const Halide::Internal::LoweredFunc& function, const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += text_of(grids_of(function, parse_estimates(problem))) + "\n";
  return text;
}

// What is told of the kernel as it is lowered, in words of ours.
void write_told(const std::string& stem, const std::set<std::string>& told, const Halide::Module& module,
                const std::vector<std::string>& problems) {
  for (const auto& function : module.functions()) {
    if (function.name != module.name()) continue;
    for (const std::string& kind : told) {
      std::ofstream out(stem + "." + kind);
      out << (kind == "trips"   ? trips_text(function.body, problems)
              : kind == "grids" ? grids_text(function, problems)
                                : launches_text(function.body));
      if (!out.flush()) throw std::runtime_error("cannot write " + stem + "." + kind);
    }
  }
}

void generate(const Options& options) {
  const Row& row = find_row(options.row);
  // an autoscheduler's kernel may want memory and threads, which Halide's own runtime then brings along
  const char* runtime = options.autoscheduler.empty() ? "-no_runtime" : "";
  const Halide::Target target(row.halide + runtime + "-no_bounds_query" + (options.asserts ? "" : "-no_asserts") +
                              (options.sanitize.empty() ? "" : "-" + options.sanitize));
  const Instance instance{options.kernel, options.axis};
  check_axis(instance);
  const Space space = space_of(row.family, instance, row.halide);
  const Choice choice =
      choose(options.records, row, options.kernel, options.axis, options.tune_for, space, options.set);
  report_compile_errors(fmt::format("{} ({})", subject(options), text_of(choice.numbers)));
  check_vectors(target);
  const Family& family_of_row = family(row.family);
  Kernel kernel = define(options, choice);
  if (options.autoscheduler.empty())
    family_of_row.apply(kernel, choice.numbers, target);
  else
    autoschedule(kernel, options.autoscheduler, parse_estimates(options.problems.at(0)), target);

  const std::string symbol = fmt::format("lathe_{}{}{}_{}{}", options.kernel, options.axis.empty() ? "" : "_",
                                         options.axis, row.name, options.asserts ? "_asserting" : "");
  const std::string stem = (std::filesystem::path(options.directory) / symbol).string();
  static const std::map<std::string, std::pair<Output, const char*>> kinds{
      {"object", {Output::object, ".o"}},
      {"assembly", {Output::assembly, ".s"}},
      {"stmt", {Output::stmt, ".stmt"}},
      {"header", {Output::c_header, ".h"}},
      {"device_code", {Output::device_code, ".device"}}};
  std::map<Output, std::string> files;
  std::set<std::string> told;
  for (const std::string& kind : options.emit) {
    if (kind == "trips" || kind == "launches" || kind == "grids") {
      told.insert(kind);
      continue;
    }
    const auto found = kinds.find(kind);
    if (found == kinds.end()) {
      std::vector<std::string> names{"trips", "launches", "grids"};
      for (const auto& [name, file] : kinds) names.push_back(name);
      throw std::invalid_argument(
          fmt::format("unknown output kind '{}': expected one of {}", kind, fmt::join(names, ", ")));
    }
    files[found->second.first] = stem + found->second.second;
  }
  std::filesystem::create_directories(options.directory);
  // lowered once: a second time, functions of a device would have other names
  Halide::Pipeline pipeline(kernel.outputs());
  const Grains grains = family_of_row.grains(instance, choice.numbers, target);
  loop_over_tiles(pipeline, kernel, grains.value, choice.numbers);
  store_values(pipeline, kernel);
  keep_in_registers(pipeline, kernel);
  const Halide::Module module = pipeline.compile_to_module(kernel.arguments(), symbol, target);
  read_what_is_stored(module, kernel);
  (options.cubins.empty() ? module : with_cubins(module, options.cubins, options.cuda, stem)).compile(files);
  write_told(stem, told, module, options.problems);
  write_entry(stem + ".inc", options, symbol, grains, choice);
}

nlohmann::json arguments_of(const Kernel& kernel) {
  nlohmann::json list = nlohmann::json::array();
  const auto add = [&](const std::string& name, const Halide::Type& type, int dimensions, bool output) {
    list.push_back({{"name", name},
                    {"type", fmt::format("{}{}",
                                         type.is_float() ? "float"
                                         : type.is_int() ? "int"
                                                         : "uint",
                                         type.bits())},
                    {"dimensions", dimensions},
                    {"output", output}});
  };
  for (const auto& argument : kernel.arguments())
    add(argument.name, argument.type, argument.is_buffer() ? argument.dimensions : 0, false);
  for (const auto& output : kernel.outputs())
    for (const auto& buffer : output.output_buffers()) add(buffer.name(), buffer.type(), buffer.dimensions(), true);
  return list;
}

// What a tuner needs to know of a kernel on a row: every configuration there is, and how the kernel is called.
void print_space(const Options& options) {
  const Row& row = find_row(options.row);
  const Instance instance{options.kernel, options.axis};
  check_axis(instance);
  const Space space = space_of(row.family, instance, row.halide);
  const Choice choice =
      choose(options.records, row, options.kernel, options.axis, options.tune_for, space, options.set);
  nlohmann::ordered_json knobs = nlohmann::json::array(), constraints = nlohmann::json::array();
  nlohmann::json points = nlohmann::json::array(), chosen = nlohmann::json::array();
  for (const Knob& knob : space.knobs) {
    knobs.push_back({{"name", knob.name},
                     {"default", knob.fallback},
                     {"legal", knob.legal},
                     {"meaning", knob.meaning},
                     {"numerics", knob.numerics}});
    chosen.push_back(choice.numbers.at(knob.name));
  }
  const Census census = enumerate(space, [&](const Numbers& numbers) {
    std::vector<int> point;
    for (const Knob& knob : space.knobs) point.push_back(numbers.at(knob.name));
    points.push_back(std::move(point));
  });
  for (const auto& [text, count] : census.rejected) constraints.push_back({{"text", text}, {"rejected", count}});
  const nlohmann::ordered_json all = {
      {"kernel", options.kernel},
      {"axis", options.axis},
      {"row", row.name},
      {"target", row.halide},
      {"halide", fmt::format("{}.{}.{}", HALIDE_VERSION_MAJOR, HALIDE_VERSION_MINOR, HALIDE_VERSION_PATCH)},
      {"arguments", arguments_of(define(options, choice))},
      {"record", {{"point", chosen}, {"source", choice.source}}},
      {"raw", census.raw},
      {"valid", census.valid},
      {"knobs", knobs},
      {"constraints", constraints},
      {"points", points}};
  fmt::print("{}\n", all.dump());
}

// Every kernel that the row has, an instance a line.
void print_instances(const Options& options) {
  const Row& row = find_row(options.row);
  const bool device = row.family == "gpu";
  // an extension of OpenCL's, which is not asked for: only what takes halves by their bits has them
  const bool halves = !has_word(row.halide, "opencl");
  for (const Announced& a : announced()) {
    const std::string_view axis = a.axis;
    if (device ? axis == "host" : axis == "device" || axis == "types") continue;
    if (axis == "broadcast" && (device || vectors_of(row.halide).by_lane)) continue;
    const std::vector<std::string> values = values_of(a.axis);
    if (values.empty()) fmt::print("{}\n", a.name);
    for (const std::string& value : values)
      if (halves || axis == "types" || !value.ends_with("f16") || value.ends_with("bf16"))
        fmt::print("{}:{}\n", a.name, value);
  }
}

// What the kernels of a device row call: Halide's own runtime. Kernels of CPU rows call nothing.
void generate_runtime(const Options& options) {
  const Row& row = find_row(options.row);
  report_compile_errors(subject(options));
  std::filesystem::create_directories(options.directory);
  const auto path = std::filesystem::path(options.directory) / fmt::format("lathe_runtime_{}.o", row.name);
  Halide::compile_standalone_runtime(path.string(), Halide::Target(row.halide));
}

}  // namespace
}  // namespace lathe::gen

int main(int argc, char** argv) {
  lathe::gen::Options options;
  CLI::App app("Generates one lathe kernel for one target row.");
  auto* kernel = app.add_option("--kernel", options.kernel, "causal, state, map ...");
  app.add_flag("--runtime", options.runtime, "Halide's runtime for the row, instead of a kernel")->excludes(kernel);
  app.add_flag("--list", options.list, "print the row's kernels, and generate nothing")->excludes(kernel);
  app.add_option("--axis", options.axis, "the instance: a transition, feature map or storage type");
  app.add_option("--row", options.row, "a row of schedules/targets.def")->required();
  app.add_option("--records", options.records, "directory of tuned records");
  app.add_option("--tune-for", options.tune_for, "micro-architecture whose records to prefer");
  app.add_option("--out", options.directory, "directory for the outputs");
  app.add_option("--emit", options.emit, "object, assembly, stmt, header, device_code, trips, launches, grids")
      ->delimiter(',');
  app.add_option("--set", options.set, "knob=value, instead of the record's");
  auto* problems =
      app.add_option("--problem", options.problems,
                     "the arguments to expect, for an autoscheduler, trips and grids: words NAME=W, NAME=WxH "
                     "or NAME=N");
  app.add_option("--autoscheduler", options.autoscheduler, "in place of the schedule, for comparison")
      ->check(CLI::IsMember({"Adams2019", "Li2018", "Mullapudi2016"}))
      ->needs(problems);
  app.add_option("--cubins", options.cubins,
                 "architectures, as sm_80, whose machine code stands beside a CUDA row's PTX")
      ->delimiter(',');
  app.add_option("--ptxas", options.cuda.ptxas, "what assembles those")->capture_default_str();
  app.add_option("--fatbinary", options.cuda.fatbinary, "what joins them")->capture_default_str();
  app.add_flag("--space", options.space, "print the kernel's configurations as JSON, and generate nothing")
      ->needs(kernel);
  app.add_flag("--asserts", options.asserts, "keep Halide's run-time checks");
  app.add_option("--sanitize", options.sanitize, "instrument the kernel for a sanitizer")
      ->check(CLI::IsMember({"asan", "tsan"}));
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.runtime)
      lathe::gen::generate_runtime(options);
    else if (options.list)
      lathe::gen::print_instances(options);
    else if (options.space)
      lathe::gen::print_space(options);
    else
      lathe::gen::generate(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lathe-gen: {}: {}\n", lathe::gen::subject(options), error.what());
    return 1;
  }
  return 0;
}
