#include "device_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "../../cli/table.h"
#include "../../cli/verbs.h"
#include "../../schedules/targets.h"
#include "../../schedules/vectors.h"
#include "../builder.h"
#include "../side_by_side.h"
#include "device_operator.h"

namespace lathe::tune {

using OrderedJson = nlohmann::ordered_json;

namespace {

// The number behind cuda_capability_ in a row's target.
int capability(const std::string& target) {
  constexpr std::string_view word = "cuda_capability_";
  const size_t at = target.find(word);
  return at == std::string::npos ? 0 : std::stoi(target.substr(at + word.size()));
}

struct Function {
  std::string kernel, entry;
  int threads = 0;
  int64_t shared = 0;
  std::string unrated;                // why nothing can be modelled
  std::vector<Figures> figures = {};  // by architecture
};

class DeviceTable {
 public:
  DeviceTable(const StaticOptions& options, CudaTools cuda)
      : options_(options),
        cuda_(std::move(cuda)),
        tools_{cli::program_folder() + "/lathe-gen", "", cli::source_tree() + "/schedules/records", options.tune_for} {
    const int least = capability(gen::find_row(options.row).halide);
    if (least == 0) throw std::invalid_argument("--row " + options.row + ": only a CUDA row has an assembler");
    const std::vector<int> known = read_architectures(run_child({cuda_.ptxas, "--help"}, "", tools_.limits).out);
    for (const int architecture : known)
      if (architecture >= least && asked_for(architecture)) architectures_.push_back(architecture);
    if (architectures_.empty())
      throw std::invalid_argument(
          fmt::format("--mcpu: expected some of sm_{} from sm_{} on", fmt::join(known, ", sm_"), least));
  }

  int run() {
    const std::regex wanted(options_.filter);
    std::vector<std::string> chosen;
    for (const std::string& name : list_kernels(tools_, options_.row))
      if (std::regex_search(name, wanted)) chosen.push_back(name);
    if (chosen.empty()) throw std::invalid_argument(fmt::format("no kernel's name matches {}", options_.filter));
    look_at_all(chosen);
    if (made_of(chosen) && !options_.brief) rate_operators();
    print();
    const bool written = options_.json.empty() || write();
    for (const std::string& fault : faults_) fmt::print(stderr, "lathe bench: {}\n", fault);
    return written && faults_.empty() ? 0 : 1;
  }

 private:
  bool asked_for(int architecture) const {
    const std::string name = fmt::format("sm_{}", architecture);
    return options_.cpus.empty() || std::find(options_.cpus.begin(), options_.cpus.end(), name) != options_.cpus.end();
  }

  void look_at_all(const std::vector<std::string>& chosen) {
    std::vector<std::vector<Function>> found(chosen.size());
    side_by_side(chosen.size(), options_.jobs,
                 [&](size_t i) { found[i] = of_kernel(chosen[i], [&] { return look_at(chosen[i]); }); });
    for (const auto& functions : found)
      for (const Function& f : functions) {
        judge(f);
        functions_.push_back(f);
      }
  }

  void rate_operators() {
    for (const int architecture : architectures_)
      for (const int width : {64, 128})
        if (find_gpu(architecture))
          ratings_.push_back(rate_operator(tools_, cuda_, options_.row, {width, 0, width}, architecture));
  }

  void judge(const Function& f) {
    if (f.shared > kMostShared)
      faults_.push_back(fmt::format("{}, {}: {} bytes of shared memory; expected {} at most", f.kernel, f.entry,
                                    f.shared, kMostShared));
    for (size_t a = 0; a < architectures_.size(); a++)
      if (const Assembled& made = f.figures[a].assembled; made.spills > 0)
        faults_.push_back(fmt::format("{}, {}: {} bytes of spills on sm_{}; expected none", f.kernel, f.entry,
                                      made.spills, architectures_[a]));
  }

  // A kernel's name is "state" or "state:decay".
  std::vector<Function> look_at(const std::string& name) const {
    std::string unrated;
    const auto kernel = open_kernel(tools_, cuda_, options_.row, name, {64, 64, 64}, unrated);
    std::vector<Function> functions;
    for (const auto& f : kernel->functions()) functions.push_back({name, f.entry, f.block(), f.shared, unrated});
    for (const int architecture : architectures_) {
      // a listing takes twenty times as long as assembling: those that are modelled, and the last one
      const bool listing = architecture == architectures_.back() || find_gpu(architecture);
      const auto figures = kernel->on(architecture, listing && !options_.brief);
      for (size_t f = 0; f < functions.size(); f++) functions[f].figures.push_back(figures[f]);
    }
    return functions;
  }

  void print() const {
    std::vector<std::string> heads{"kernel", "function", "threads", "shared", "flops/instr"};
    for (const int architecture : architectures_) heads.push_back(fmt::format("sm_{}", architecture));
    cli::Table table(heads);
    for (const Function& f : functions_) {
      const Mix hot = f.figures.back().listed.hot();
      std::vector<std::string> row{f.kernel, f.entry, std::to_string(f.threads), std::to_string(f.shared),
                                   hot.flops == 0 ? "" : fmt::format("{:.2f}", hot.flops_each())};
      for (const Figures& one : f.figures) row.push_back(in_short(one));
      table.add(row);
    }
    fmt::print(
        "{}: registers of a thread, the share of warps that run at once, as ptxas assembles each function, and what "
        "binds it to which share of the float32 or memory limit by a static model, a bound and no prediction; flops "
        "for "
        "each instruction of the hottest innermost loop on sm_{}. Nothing was run.\n\n{}",
        options_.row, architectures_.back(), table.text());
    if (!ratings_.empty()) fmt::print("\nThe causal forward by that model:\n\n{}", text_of(ratings_));
  }

  static std::string in_short(const Figures& f) {
    std::string text = std::to_string(f.assembled.registers);
    if (f.occupancy >= 0) text += fmt::format(", {:.0f} %", 100 * f.occupancy);
    // what fills only memory of the kernel's own has no limit to be held against
    if (f.model && f.model->limit_seconds > 0)
      text += fmt::format(", {} {:.0f} %", f.model->parts.binds(), 100 * f.model->share());
    return text;
  }

  static OrderedJson json_of(const Mix& mix) {
    return {{"instructions", mix.all},  {"fma", mix.fma},       {"other_float", mix.other_float},
            {"special", mix.special},   {"shared", mix.shared}, {"global", mix.global},
            {"barriers", mix.barriers}, {"flops", mix.flops}};
  }

  static OrderedJson json_of(const sass::Modelled& m) {
    return {{"share", m.share()},
            {"binds", m.parts.binds()},
            {"cycles_of_block", m.cycles},
            {"issue", m.parts.issue},
            {"fma", m.parts.fma},
            {"alu", m.parts.alu},
            {"special", m.parts.special},
            {"memory_pipe", m.parts.memory},
            {"latency", m.parts.latency},
            {"device", m.parts.device},
            {"flops", m.flops},
            {"bytes", m.bytes},
            {"moved", m.moved},
            {"wide", m.wide},
            {"in_flight", m.in_flight},
            {"blocks", m.blocks},
            {"warps", m.warps},
            {"seconds", m.seconds}};
  }

  bool write() const {
    OrderedJson functions = OrderedJson::array();
    for (const Function& f : functions_) {
      OrderedJson each = OrderedJson::object();
      for (size_t a = 0; a < architectures_.size(); a++) {
        const Figures& one = f.figures[a];
        each[fmt::format("sm_{}", architectures_[a])] = {
            {"registers", one.assembled.registers},
            {"spills", one.assembled.spills},
            {"stack", one.assembled.stack},
            {"occupancy", one.occupancy < 0 ? OrderedJson() : OrderedJson(one.occupancy)},
            {"model", one.model ? json_of(*one.model) : OrderedJson()},
            {"unrated", one.unrated.empty() ? f.unrated : one.unrated}};
      }
      functions.push_back({{"kernel", f.kernel},
                           {"function", f.entry},
                           {"threads", f.threads},
                           {"shared", f.shared},
                           {"architectures", each},
                           {"listed", fmt::format("sm_{}", architectures_.back())},
                           {"mix", json_of(f.figures.back().listed.whole)},
                           {"hot_loop", json_of(f.figures.back().listed.hot())}});
    }
    OrderedJson operators = OrderedJson::array();
    for (const OperatorRating& rating : ratings_) operators.push_back(tune::json_of(rating));
    std::ofstream out(options_.json);
    out << OrderedJson{{"row", options_.row},
                       {"fidelity", "static-ptxas"},
                       {"functions", functions},
                       {"operators", operators}}
               .dump(1)
        << "\n";
    if (!out.flush()) fmt::print(stderr, "lathe bench: {} could not be written\n", options_.json);
    return static_cast<bool>(out);
  }

  const StaticOptions& options_;
  const CudaTools cuda_;
  const Tools tools_;
  std::vector<int> architectures_;
  std::vector<Function> functions_;
  std::vector<OperatorRating> ratings_;
  std::vector<std::string> faults_;
};

}  // namespace

int device_table(const StaticOptions& options) {
  const CudaTools cuda = find_cuda_tools(cli::program_folder() + "/..");
  if (cuda.ptxas.empty()) {
    fmt::print(stderr, "lathe bench: skipped: --static of {} needs ptxas (bench/cuda/fetch.sh)\n", options.row);
    return kSkipped;
  }
  return DeviceTable(options, cuda).run();
}

}  // namespace lathe::tune
