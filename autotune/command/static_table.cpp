#include "static_table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "../../cli/table.h"
#include "../../cli/verbs.h"
#include "../../schedules/targets.h"
#include "../../schedules/vectors.h"
#include "../mca.h"
#include "../side_by_side.h"
#include "device_table.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

namespace {

constexpr int kHotLoop = 12;  // FMAs from which on a loop is held against their limit

// llvm-mca 19 has no table of its own for these: what it says is of another processor.
constexpr const char* kBorrowed[][2] = {
    {"cortex-a72", "cortex-a57"},     {"cortex-a73", "cortex-a57"},   {"cortex-a75", "cortex-a57"},
    {"cortex-a76", "cortex-a57"},     {"cortex-a77", "cortex-a57"},   {"cortex-a78", "cortex-a57"},
    {"cortex-x1", "cortex-a57"},      {"cortex-a710", "neoverse-n2"}, {"cortex-x2", "neoverse-n2"},
    {"apple-a14", "Apple's Cyclone"}, {"apple-m1", "Apple's Cyclone"}};

std::string labelled(const std::string& cpu) {
  for (const auto& [name, owner] : kBorrowed)
    if (cpu == name) return fmt::format("{} (the table of {})", cpu, owner);
  return cpu;
}

std::vector<std::string> processors_of(const StaticOptions& options, const std::string& target) {
  if (!options.cpus.empty()) return options.cpus;
  if (gen::has_word(target, "arm")) return {"neoverse-n1", "neoverse-n2", "neoverse-v1", "neoverse-v2", "cortex-a53"};
  return {"znver4"};
}

// FMAs that wait for none but themselves, more of them than their latency needs, and nothing else.
std::string calibration(const std::string& target) {
  const gen::Vectors vectors = gen::vectors_of(target);
  const int sums = vectors.registers * 3 / 4;
  const char width = vectors.lanes == 16 ? 'z' : 'y';
  constexpr int kRounds = 10;  // so that what the model adds at the end counts for little
  std::string body;
  for (int n = 0; n < kRounds * sums; n++)
    body += vectors.by_lane
                ? fmt::format("\tfmla\tv{}.4s, v{}.4s, v{}.s[{}]\n", n % sums, sums, sums + 1, n % 4)
                : fmt::format("\tvfmadd231ps\t%{0}mm{1}, %{0}mm{2}, %{0}mm{3}\n", width, sums, sums + 1, n % sums);
  return body;
}

struct RatedLoop {
  std::string kernel, numbers;
  Loop loop;
  double trips = 0;
  Contents contents = {};
  std::vector<double> cycles = {};  // of a round, for each processor

  bool hot() const { return contents.fmas >= kHotLoop; }
};

class StaticTable {
 public:
  explicit StaticTable(const StaticOptions& options) : options_(options) {
    request_.row = options.row;
    request_.tune_for = options.tune_for;
    request_.measure = "mca";
    request_.problems = {"D=64,V=64,M=64"};
    tools_ = tools_of(request_);
    tools_.linker.clear();
    model_ = std::make_unique<StaticModel>(Mca{"", "", cli::program_folder() + "/lathe-runner"}, tools_);
  }

  int run() {
    const std::regex wanted(options_.filter);
    for (const Instance& instance : instances(true, row_of(request_)))
      if (std::regex_search(instance.name(), wanted)) instances_.push_back(instance);
    if (instances_.empty()) throw std::invalid_argument(fmt::format("no kernel's name matches {}", options_.filter));
    first_ = list_space(tools_, instances_[0].kernel, instances_[0].axis, row_of(request_));
    look_at_all();
    for (const std::string& file : options_.beside) loops_.push_back(loop_in(file));
    for (const std::string& cpu : processors_of(options_, first_.target)) rate(cpu);
    print();
    return options_.json.empty() || write() ? 0 : 1;
  }

 private:
  void look_at_all() {
    std::vector<std::vector<RatedLoop>> found(instances_.size());
    side_by_side(instances_.size(), options_.jobs,
                 [&](size_t i) { found[i] = of_kernel(instances_[i].name(), [&] { return look_at(instances_[i]); }); });
    for (const auto& loops : found)
      if (std::any_of(loops.begin(), loops.end(), [](const RatedLoop& l) { return l.hot(); }))
        loops_.insert(loops_.end(), loops.begin(), loops.end());
  }

  // The loops of a kernel as the row's record has it.
  std::vector<RatedLoop> look_at(const Instance& instance) const {
    const Space space = list_space(tools_, instance.kernel, instance.axis, row_of(request_));
    const SweepOptions options = sweep_options(request_, tools_, space, instance);
    const fs::path folder = fs::temp_directory_path() / fmt::format("lathe-static-{}-{}", getpid(), instance.name());
    Candidate candidate = build_candidate(tools_, space, space.record, folder);
    if (!candidate.outcome.usable()) throw Infrastructure(candidate.outcome.detail);
    Outcome outcome = candidate.outcome;
    const auto found = model_->loops(outcome, space, candidate);
    if (!outcome.usable()) throw Infrastructure(outcome.detail);
    // the runner knows the arguments of what the tuner tunes; how often loops of others run stays open
    auto shapes = model_->trips(outcome, space, candidate, job_of(space, options, candidate, candidate), found);
    if (shapes.empty()) shapes.emplace_back(found.size());
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    std::vector<RatedLoop> loops;
    for (size_t i = 0; i < found.size(); i++)
      if (!found[i].body.empty())
        loops.push_back(
            {instance.name(), space.text(space.record), found[i], shapes[0][i], contents_of(found[i].body)});
    return loops;
  }

  static RatedLoop loop_in(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw std::invalid_argument(fmt::format("--beside {}: no such file", file));
    RatedLoop loop{fs::path(file).stem(), "", {"", {std::istreambuf_iterator<char>(in), {}}}, 1};
    loop.contents = contents_of(loop.loop.body);
    return loop;
  }

  void rate(const std::string& cpu) {
    std::vector<std::string> bodies{calibration(first_.target)};
    for (const RatedLoop& loop : loops_) bodies.push_back(loop.loop.body);
    Outcome outcome;
    outcome.reason = Reason::ok;
    const auto cycles = model_->cycles(outcome, first_, cpu, bodies);
    if (!outcome.usable()) throw Infrastructure(outcome.detail);
    cpus_.push_back(cpu);
    limits_.push_back(contents_of(bodies[0]).fmas / cycles[0]);
    for (size_t i = 0; i < loops_.size(); i++) loops_[i].cycles.push_back(cycles[i + 1]);
  }

  double share(const RatedLoop& loop, size_t cpu) const { return loop.contents.fmas / loop.cycles[cpu] / limits_[cpu]; }

  // Of all its rounds, what stands around the inner loops with them.
  struct Whole {
    double fmas = 0, instructions = 0;  // of innermost hot loops
    std::vector<double> shares = {};    // of everything
  };
  Whole whole(const std::string& kernel) const {
    Whole all;
    double fmas = 0;
    std::vector<double> cycles(cpus_.size());
    for (const RatedLoop& l : loops_) {
      if (l.kernel != kernel) continue;
      fmas += l.trips * l.contents.fmas;
      for (size_t c = 0; c < cpus_.size(); c++) cycles[c] += l.trips * l.cycles[c];
      if (!l.hot() || !l.loop.innermost) continue;
      all.fmas += l.trips * l.contents.fmas;
      all.instructions += l.trips * l.contents.instructions;
    }
    for (size_t c = 0; c < cpus_.size(); c++) all.shares.push_back(fmas / cycles[c] / limits_[c]);
    return all;
  }

  void print() const {
    std::vector<std::string> heads{"kernel", "loop", "rounds", "FMA", "instr/FMA", "spills", "stores"};
    for (const std::string& cpu : cpus_) heads.push_back(labelled(cpu));
    cli::Table table(heads);
    std::string kernel, numbers;
    const auto close = [&] {
      if (kernel.empty()) return;
      const Whole all = whole(kernel);
      if (all.fmas == 0 || numbers.empty()) return;
      std::vector<std::string> row{kernel, "all of it", "", "", fmt::format("{:.2f}", all.instructions / all.fmas),
                                   "",     ""};
      for (const double s : all.shares) row.push_back(fmt::format("{:.0f} %", 100 * s));
      table.add(row);
    };
    for (const RatedLoop& l : loops_) {
      if (l.kernel != kernel) close();
      kernel = l.kernel, numbers = l.numbers;
      if (!l.hot()) continue;
      std::vector<std::string> row{
          l.kernel,
          l.loop.name + (l.loop.innermost ? "" : " (around)"),
          l.trips > 0 ? fmt::format("{:.0f}", l.trips) : "",
          std::to_string(l.contents.fmas),
          fmt::format("{:.2f}", static_cast<double>(l.contents.instructions) / l.contents.fmas),
          std::to_string(l.loop.spills),
          std::to_string(l.contents.stores)};
      for (size_t c = 0; c < cpus_.size(); c++) row.push_back(fmt::format("{:.0f} %", 100 * share(l, c)));
      table.add(row);
    }
    close();
    fmt::print(
        "{} for {}, K = V = 64: shares of the most FMAs that llvm-mca's table of a processor lets through.\n\n{}",
        row_of(request_), options_.tune_for, table.text());
  }

  bool write() const {
    OrderedJson processors = OrderedJson::array(), loops = OrderedJson::array();
    for (size_t c = 0; c < cpus_.size(); c++)
      processors.push_back({{"name", cpus_[c]}, {"table", labelled(cpus_[c])}, {"fmas_per_cycle", limits_[c]}});
    for (const RatedLoop& l : loops_) {
      OrderedJson cycles = OrderedJson::object();
      for (size_t c = 0; c < cpus_.size(); c++) cycles[cpus_[c]] = l.cycles[c];
      loops.push_back({{"kernel", l.kernel},
                       {"numbers", l.numbers},
                       {"loop", l.loop.name},
                       {"innermost", l.loop.innermost},
                       {"rounds", l.trips},
                       {"fmas", l.contents.fmas},
                       {"instructions", l.contents.instructions},
                       {"spills", l.loop.spills},
                       {"stores", l.contents.stores},
                       {"stack_stores", l.contents.stack_stores},
                       {"cycles", cycles}});
    }
    std::ofstream out(options_.json);
    out << OrderedJson{{"row", row_of(request_)},
                       {"tune_for", options_.tune_for},
                       {"fidelity", "static-mca"},
                       {"processors", processors},
                       {"loops", loops}}
               .dump(1)
        << "\n";
    if (!out.flush()) fmt::print(stderr, "lathe bench: {} could not be written\n", options_.json);
    return static_cast<bool>(out);
  }

  const StaticOptions& options_;
  Request request_;
  Tools tools_;
  std::unique_ptr<StaticModel> model_;
  std::vector<Instance> instances_;
  Space first_;  // what all kernels of the row have in common
  std::vector<RatedLoop> loops_;
  std::vector<std::string> cpus_;
  std::vector<double> limits_;  // FMAs of a cycle
};

}  // namespace

int static_table(const StaticOptions& options) {
  if (!options.row.empty() && gen::find_row(options.row).family == "gpu") return device_table(options);
  if (find_mca().empty()) {
    fmt::print(stderr, "lathe bench: skipped: --static needs llvm-mca 19 (Debian: apt-get install llvm-19)\n");
    return kSkipped;
  }
  return StaticTable(options).run();
}

}  // namespace lathe::tune
