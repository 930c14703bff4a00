// `lathe regenerate`: the kernels of a row as files, also for a processor that is not here: objects, one header, the
// lines of a registry, and the record of the numbers that they were made with.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "../autotune/builder.h"
#include "../autotune/configuration.h"
#include "../autotune/side_by_side.h"
#include "call.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct RegenerateOptions {
  std::string row, tune_for = "generic", folder;
  int jobs = 2;
};

struct Instance {
  std::string kernel, axis;
  std::string name() const { return axis.empty() ? kernel : kernel + ":" + axis; }
};

std::vector<Instance> instances(const RegenerateOptions& options, const tune::Tools& tools) {
  std::vector<Instance> all;
  for (const std::string& name : tune::list_kernels(tools, options.row)) {
    const size_t colon = name.find(':');
    all.push_back({name.substr(0, colon), colon == name.npos ? "" : name.substr(colon + 1)});
  }
  return all;
}

void generate_all(const RegenerateOptions& options, const std::vector<Instance>& all, const tune::Tools& tools) {
  std::vector<tune::Ended> ended(all.size());
  tune::side_by_side(all.size(), options.jobs, [&](size_t i) {
    std::vector<std::string> command = {tools.generator, "--kernel",    all[i].kernel,  "--row",          options.row,
                                        "--records",     tools.records, "--tune-for",   options.tune_for, "--out",
                                        options.folder,  "--emit",      "object,header"};
    if (!all[i].axis.empty()) command.insert(command.end(), {"--axis", all[i].axis});
    ended[i] = tune::run_child(command, "", tools.limits);
  });
  for (size_t i = 0; i < all.size(); i++)
    if (!ended[i].well()) throw Failure(fmt::format("{}: the generator {}", all[i].name(), ended[i].text()));
}

// One header of all, and the registry's lines in one file; those of single kernels go.
void join(const RegenerateOptions& options) {
  std::vector<fs::path> headers, entries;
  for (const auto& file : fs::directory_iterator(options.folder)) {
    if (file.path().extension() == ".h") headers.push_back(file.path());
    if (file.path().extension() == ".inc") entries.push_back(file.path());
  }
  const auto into = [&](std::vector<fs::path>& files, const std::string& name) {
    std::sort(files.begin(), files.end());
    std::ofstream out(fs::path(options.folder) / name);
    for (const fs::path& file : files) out << std::ifstream(file).rdbuf();
    if (!out.flush()) throw Failure(name + " could not be written");
    for (const fs::path& file : files) fs::remove(file);
  };
  into(headers, fmt::format("lathe_{}.h", options.row));
  into(entries, fmt::format("lathe_{}.inc", options.row));
}

// Each instance's own numbers, whole, so that the same kernels come of this record alone.
void write_record(const RegenerateOptions& options, const std::vector<Instance>& all, const tune::Tools& tools) {
  const fs::path folder = fs::path(options.folder) / "records";
  fs::create_directories(folder);
  fs::remove(folder / (options.row + ".json"));
  tune::RecordFile file(folder, options.row);
  for (const Instance& instance : all) {
    const tune::Space space = tune::list_space(tools, instance.kernel, instance.axis, options.row);
    Json params = Json::object();
    for (size_t k = 0; k < space.knobs.size(); k++) {
      if (space.knobs[k].numerics)
        file.of(options.tune_for, space.record[k]);
      else
        params[space.knobs[k].name] = space.record[k];
    }
    if (params.empty()) continue;
    file.of(options.tune_for, 0).kernels[instance.name()] = {
        {"params", params}, {"evidence", {{"fidelity", "none"}, {"taken_from", space.record_source}}}};
  }
  file.write();
}

void regenerate(const RegenerateOptions& options) {
  tune::Tools tools;
  tools.generator = program_folder() + "/lathe-gen";
  tools.records = source_tree() + "/schedules/records";
  tools.tune_for = options.tune_for;
  const std::vector<Instance> all = instances(options, tools);
  fs::create_directories(options.folder);
  generate_all(options, all, tools);
  join(options);
  write_record(options, all, tools);
  fmt::print("{}: {} kernels of {} for {}, lathe_{}.h, and records/{}.json with their numbers\n", options.folder,
             all.size(), options.row, options.tune_for, options.row, options.row);
}

}  // namespace

void add_regenerate(CLI::App& program) {
  auto options = std::make_shared<RegenerateOptions>();
  CLI::App* verb =
      program.add_subcommand("regenerate", "a row's kernels as objects, header and record, for any processor");
  verb->add_option("--row", options->row, "a row of schedules/targets.def")->required();
  verb->add_option("--tune-for", options->tune_for, "the micro-architecture whose records to take")
      ->capture_default_str();
  verb->add_option("--out", options->folder, "folder (default: the row's name)");
  verb->add_option("--jobs", options->jobs, "generators at once")->capture_default_str()->check(CLI::Range(1, 64));
  verb->callback([options] {
    if (options->folder.empty()) options->folder = options->row;
    regenerate(*options);
  });
}

}  // namespace lathe::cli
