// What was typed, and what follows from it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../measurer.h"
#include "../result.h"
#include "../sweep.h"

namespace lathe::tune {

struct Request {
  std::vector<std::string> kernels, pins, problems, paths;
  std::string row, tune_for, measure = "native", strategy = "ils", effort = "normal", out, records, shard, wrap, push;
  std::string generator, runner, linker, mca, mcpu, text_a, text_b;
  uint64_t seed = 1;
  int evals = 0, jobs = 2, cpu = -2, pairs = 0, repeats = 1, shards = 8;
  double minutes = 0, compile_limit = 60, run_limit = 60;
  bool all = false, json = false, emulated = false, markdown = false, autoschedulers = false, rate = false;
  std::string command;  // as it was typed
};

// A kernel's instance and the key under which a record holds it: "causal" holds for every instance of the kernel, the
// first of which is measured; "causal:decay" for that one.
struct Instance {
  std::string kernel, axis, key;
  std::string name() const { return axis.empty() ? kernel : kernel + ":" + axis; }
};
Instance find_instance(const std::string& name, const std::string& row);
// Every kernel that the library has for such a row, or for any where it has none such; with `each`, every instance.
std::vector<Instance> instances(bool each, const std::string& row);

std::string row_of(const Request& request);
std::string uarch_of(const Request& request);
Tools tools_of(const Request& request);
std::unique_ptr<Measurer> measurer_of(const Request& request, const Tools& tools);
// Those of --problem, else the shapes of bench/shapes.def that the kernel is for.
std::vector<Shape> shapes_of(const Request& request, const Instance& instance);
std::string shapes_text(const std::vector<Shape>& shapes);
// The space of an instance, with what --pin asks for and, unless it pins them, the numerical knobs as the row's record
// has them today.
Space space_of(const Request& request, const Tools& tools, const Instance& instance);
// Of the sweep: the same for the same processor, generator, space, problem and measurer, so that the same command goes
// on.
std::filesystem::path folder_of(const Request& request, const Tools& tools, const Space& space,
                                const std::vector<Shape>& shapes);
std::filesystem::path root_of(const Request& request);
SweepOptions sweep_options(const Request& request, const Tools& tools, const Space& space, const Instance& instance);
Circumstances circumstances_of(const Request& request, const Tools& tools, const Instance& instance,
                               const SweepOptions& options);
// The generator's content: another one makes other kernels.
std::string generator_name(const Tools& tools);

// One verb each; the exit code of the program.
int command_sweep(const Request& request);
int command_all(const Request& request);
int command_list(const Request& request);
int command_space(const Request& request);
int command_noise(const Request& request);
int command_duel(const Request& request);
int command_verify(const Request& request);
int command_merge(const Request& request);
int command_apply(const Request& request);
int command_replay(const Request& request);
int command_report(const Request& request);
int command_status(const Request& request);
int command_slurm(const Request& request);
int command_doctor(const Request& request);

// Sweeps one instance and leaves result.json in its folder.
Result sweep_instance(const Request& request, const Instance& instance, nlohmann::json& written);

}  // namespace lathe::tune
