#include "tune.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "request.h"

#ifndef LATHE_LINKER
#define LATHE_LINKER "cc"
#endif

namespace lathe::tune {

namespace {

constexpr int kUsage = 2, kInfrastructure = 75;

// Options that every verb may have: what they mean does not depend on it.
void add_options(CLI::App& app, Request& r) {
  app.fallthrough();
  app.add_option("--row", r.row, "a row of schedules/targets.def (default: the best that this processor runs)");
  app.add_option("--tune-for", r.tune_for, "the micro-architecture that records are for (default: this one)");
  app.add_option("--problem", r.problems, "D=64,V=64, or a group of bench/shapes.def; may be given again")->take_all();
  app.add_option("--pin", r.pins,
                 "knob=value or knob=value,value; knob=any frees the chunk, which else stays as the row has it")
      ->take_all();
  app.add_option("--measure", r.measure,
                 "native, or a static model that ranks and claims no time: mca, or sass for CUDA")
      ->check(CLI::IsMember({"native", "mca", "sass"}));
  app.add_option("--mcpu", r.mcpu, "the processor to model, as llvm-mca names it; of sass: sm_80 or sm_90");
  app.add_option("--mca", r.mca, "llvm-mca (default: llvm-mca-19)");
  app.add_flag("--rate", r.rate, "measure, and rate by the static model beside: how well does it rank?");
  app.add_option("--strategy", r.strategy, "exhaustive, random or ils")
      ->capture_default_str()
      ->check(CLI::IsMember(strategy_names()));
  app.add_option("--effort", r.effort, "quick, normal or full")
      ->capture_default_str()
      ->check(CLI::IsMember({"quick", "normal", "full"}));
  app.add_option("--evals", r.evals, "candidates at most")->check(CLI::PositiveNumber);
  app.add_option("--minutes", r.minutes, "of one sweep at most")->check(CLI::PositiveNumber);
  app.add_option("--pairs", r.pairs, "fast pairs of a candidate")->check(CLI::PositiveNumber);
  app.add_option("--seed", r.seed, "of the search")->capture_default_str();
  app.add_option("--shard", r.shard, "i/N: this part of the candidates; /N: the scheduler's array index tells i");
  app.add_option("--jobs", r.jobs, "compilers at once")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--cpu", r.cpu, "the processor to measure on; -1: any (default: the last one)");
  app.add_option("--wrap", r.wrap, "a command around the runner, {} where that stands: 'ssh board {}'");
  app.add_option("--push", r.push, "a command that brings the file {} to where the wrapped runner starts");
  app.add_flag("--emulated", r.emulated, "the wrapped runner's times mean nothing (known of qemu)");
  app.add_option("--out", r.out, "folder of the runs")->envname("LATHE_TUNE_DIR");
  app.add_option("--records", r.records, "folder of the records");
  app.add_option("--generator", r.generator, "lathe-gen");
  app.add_option("--runner", r.runner, "lathe-runner, built for where it runs");
  app.add_option("--linker", r.linker, "a compiler driver that links for where candidates run")->capture_default_str();
  app.add_option("--compile-limit", r.compile_limit, "seconds")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--run-limit", r.run_limit, "seconds")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--repeats", r.repeats, "of the noise probe")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--shards", r.shards, "of slurm")->capture_default_str()->check(CLI::Range(1, 256));
  app.add_flag("--autoschedulers", r.autoschedulers, "also time what Halide's autoschedulers make of the kernel");
  app.add_flag("--md", r.markdown, "the report as Markdown");
  app.add_flag("--json", r.json, "events as JSON, a line each");
}

struct Verb {
  const char *name, *help;
  int (*run)(const Request&);
  const char* argument;  // what its words are; null: it takes none
};
constexpr Verb kVerbs[] = {
    {"list", "the kernels and the sizes of their spaces", command_list, nullptr},
    {"space", "a kernel's knobs, and how many configurations each constraint excludes", command_space, "KERNEL"},
    {"noise", "the default against itself, --repeats times: what would be called a gain", command_noise, "KERNEL"},
    {"duel", "one configuration against another: default, record or \"knob=value ...\"", command_duel, "KERNEL A B"},
    {"verify", "one configuration against the oracle", command_verify, "KERNEL A"},
    {"merge", "the union of the journals of several folders", command_merge, "DIR"},
    {"status", "the sweeps under --out", command_status, nullptr},
    {"replay", "the strategies over a recorded exhaustive sweep", command_replay, "DIR"},
    {"report", "one page on a sweep", command_report, "DIR"},
    {"apply", "takes results into schedules/records", command_apply, "DIR"},
    {"slurm", "the batch files of a sweep in shards, for Slurm", command_slurm, "KERNEL"},
    {"doctor", "what on this machine would spoil measurements, and which tools there are", command_doctor, nullptr},
};

int run(int argc, char** argv) {
  Request request;
  request.linker = LATHE_LINKER;
  for (int i = 0; i < argc; i++) request.command += fmt::format("{}{}", i ? " " : "lathe ", argv[i]);
  CLI::App app("Finds the numbers of schedules by measuring. Without a verb: sweeps the named kernels.", "lathe tune");
  add_options(app, request);
  app.add_flag("--all", request.all, "every kernel of the row, and the chunk they share");
  app.add_option("kernels", request.kernels, "causal, state, map:favor ...");
  int (*chosen)(const Request&) = nullptr;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.help);
    const std::string words = verb.argument ? verb.argument : "";
    if (words.starts_with("KERNEL")) {
      // one, where the words after it are configurations
      if (words == "KERNEL")
        sub->add_option("KERNEL", request.kernels)->required();
      else
        sub->add_option_function<std::string>("KERNEL",
                                              [&request](const std::string& name) { request.kernels = {name}; })
            ->required();
    } else if (!words.empty()) {
      sub->add_option(words, request.paths)->required();
    }
    if (words.ends_with(" A") || words.ends_with(" A B")) sub->add_option("A", request.text_a, "a configuration");
    if (words.ends_with(" B")) sub->add_option("B", request.text_b, "another")->required();
    sub->callback([&chosen, &verb] { chosen = verb.run; });
  }
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (chosen) return chosen(request);
  if (!request.all && request.kernels.empty()) {
    fmt::print(stderr, "lathe tune: name a kernel (lathe tune list shows them), or give --all\n");
    return kUsage;
  }
  return request.all ? command_all(request) : command_sweep(request);
}

}  // namespace

}  // namespace lathe::tune

int lathe_tune_main(int argc, char** argv) {
  try {
    return lathe::tune::run(argc, argv);
  } catch (const lathe::tune::Infrastructure& error) {
    fmt::print(stderr, "lathe tune: {}\n", error.what());
    return lathe::tune::kInfrastructure;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lathe tune: {}\n", error.what());
    return lathe::tune::kUsage;
  }
}
