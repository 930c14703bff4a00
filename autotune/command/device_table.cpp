#include "device_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "../../cli/table.h"
#include "../../cli/verbs.h"
#include "../../schedules/targets.h"
#include "../../schedules/vectors.h"
#include "../builder.h"
#include "../files.h"
#include "../sass.h"
#include "../side_by_side.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

namespace {

constexpr int64_t kMostShared = 48 * 1024;  // of a block, without asking the driver for more

// Where bench/cuda/fetch.sh puts them, else on the path.
std::string find_tool(const char* name) {
  return find_program({name}, {cli::program_folder() + "/../cuda/nvidia/cu13/bin"});
}

// The number behind cuda_capability_ in a row's target.
int capability(const std::string& target) {
  constexpr std::string_view word = "cuda_capability_";
  const size_t at = target.find(word);
  return at == std::string::npos ? 0 : std::stoi(target.substr(at + word.size()));
}

// One function of a kernel on one architecture.
struct Figures {
  Assembled assembled;
  Listed listed;
  double occupancy = -1;
};
struct Function {
  std::string kernel, entry;
  int threads = 0;
  int64_t shared = 0;
  std::vector<Figures> figures = {};  // by architecture
};

class DeviceTable {
 public:
  DeviceTable(const StaticOptions& options, std::string ptxas, std::string nvdisasm)
      : options_(options),
        ptxas_(std::move(ptxas)),
        nvdisasm_(std::move(nvdisasm)),
        tools_{cli::program_folder() + "/lathe-gen", "", cli::source_tree() + "/schedules/records", options.tune_for} {
    const int least = capability(gen::find_row(options.row).halide);
    if (least == 0) throw std::invalid_argument("--row " + options.row + ": only a CUDA row has an assembler");
    const std::vector<int> known = read_architectures(run({ptxas_, "--help"}).out);
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

  Ended run(const std::vector<std::string>& command) const {
    Ended ended = run_child(command, "", tools_.limits);
    if (!ended.well()) throw Infrastructure(fmt::format("{}: {}", fmt::join(command, " "), ended.text()));
    return ended;
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
    const fs::path folder = fs::temp_directory_path() / fmt::format("lathe-device-{}-{}", getpid(), name);
    const size_t colon = name.find(':');
    std::vector<std::string> command{tools_.generator, "--kernel", name.substr(0, colon)};
    if (colon != name.npos) command.insert(command.end(), {"--axis", name.substr(colon + 1)});
    command.insert(command.end(), {"--row", options_.row, "--records", tools_.records, "--tune-for", tools_.tune_for,
                                   "--out", folder.string(), "--emit", "device_code,launches"});
    run(command);
    fs::path code, launches;
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().extension() == ".device") code = file.path();
      if (file.path().extension() == ".launches") launches = file.path();
    }
    std::vector<Function> functions;
    std::istringstream lines(content_of(launches));
    Function one{name, ""};
    for (int x, y, z; lines >> one.entry >> x >> y >> z >> one.shared;) {
      one.threads = x * y * z;
      functions.push_back(one);
    }
    for (const int architecture : architectures_) add(functions, assemble(code, architecture), architecture);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    return functions;
  }

  struct Made {
    std::vector<Assembled> assembled;
    std::map<std::string, Listed> listed;
  };
  Made assemble(const fs::path& code, int architecture) const {
    const fs::path cubin = fmt::format("{}.{}", code.string(), architecture);
    Made made{read_ptxas(run({ptxas_, "-v", fmt::format("-arch=sm_{}", architecture), code, "-o", cubin}).err), {}};
    // a listing takes twenty times as long as assembling: one architecture must do
    if (!nvdisasm_.empty() && architecture == architectures_.back())
      made.listed = read_listing(run({nvdisasm_, "-c", cubin}).out);
    return made;
  }

  static void add(std::vector<Function>& functions, const Made& made, int architecture) {
    for (Function& f : functions) {
      const auto at = std::find_if(made.assembled.begin(), made.assembled.end(),
                                   [&](const Assembled& one) { return one.entry == f.entry; });
      if (at == made.assembled.end()) throw Infrastructure(fmt::format("ptxas says nothing of {}", f.entry));
      const auto listed = made.listed.find(f.entry);
      f.figures.push_back({*at, listed == made.listed.end() ? Listed{} : listed->second,
                           tune::occupancy(architecture, at->registers, f.threads, f.shared + at->fixed)});
    }
  }

  void print() const {
    std::vector<std::string> heads{"kernel", "function", "threads", "shared", "flops/instr"};
    for (const int architecture : architectures_) heads.push_back(fmt::format("sm_{}", architecture));
    cli::Table table(heads);
    for (const Function& f : functions_) {
      const Mix& hot = f.figures.back().listed.hot;
      std::vector<std::string> row{f.kernel, f.entry, std::to_string(f.threads), std::to_string(f.shared),
                                   hot.flops == 0 ? "" : fmt::format("{:.2f}", hot.flops_each())};
      for (const Figures& one : f.figures)
        row.push_back(one.occupancy < 0 ? std::to_string(one.assembled.registers)
                                        : fmt::format("{}, {:.0f} %", one.assembled.registers, 100 * one.occupancy));
      table.add(row);
    }
    fmt::print(
        "{}: registers of a thread and the share of warps that run at once, as ptxas assembles each function; flops "
        "for each instruction of the hottest innermost loop on sm_{}. Nothing was run.\n\n{}",
        options_.row, architectures_.back(), table.text());
  }

  static OrderedJson json_of(const Mix& mix) {
    return {{"instructions", mix.all},  {"fma", mix.fma},       {"other_float", mix.other_float},
            {"special", mix.special},   {"shared", mix.shared}, {"global", mix.global},
            {"barriers", mix.barriers}, {"flops", mix.flops}};
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
            {"occupancy", one.occupancy < 0 ? OrderedJson() : OrderedJson(one.occupancy)}};
      }
      functions.push_back({{"kernel", f.kernel},
                           {"function", f.entry},
                           {"threads", f.threads},
                           {"shared", f.shared},
                           {"architectures", each},
                           {"listed", fmt::format("sm_{}", architectures_.back())},
                           {"mix", json_of(f.figures.back().listed.whole)},
                           {"hot_loop", json_of(f.figures.back().listed.hot)}});
    }
    std::ofstream out(options_.json);
    out << OrderedJson{{"row", options_.row}, {"fidelity", "static-ptxas"}, {"functions", functions}}.dump(1) << "\n";
    if (!out.flush()) fmt::print(stderr, "lathe bench: {} could not be written\n", options_.json);
    return static_cast<bool>(out);
  }

  const StaticOptions& options_;
  const std::string ptxas_, nvdisasm_;
  const Tools tools_;
  std::vector<int> architectures_;
  std::vector<Function> functions_;
  std::vector<std::string> faults_;
};

}  // namespace

int device_table(const StaticOptions& options) {
  const std::string ptxas = find_tool("ptxas");
  if (ptxas.empty()) {
    fmt::print(stderr, "lathe bench: skipped: --static of {} needs ptxas (bench/cuda/fetch.sh)\n", options.row);
    return kSkipped;
  }
  return DeviceTable(options, ptxas, options.brief ? "" : find_tool("nvdisasm")).run();
}

}  // namespace lathe::tune
