#include "mca.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string find_mca() {
  const char* path = std::getenv("PATH");
  // older ones lack the models of recent processors
  for (const char* name : {"llvm-mca-19", "llvm-mca-22", "llvm-mca-20"}) {
    std::istringstream folders(path ? path : "");
    for (std::string folder; std::getline(folders, folder, ':');)
      if (const std::string file = folder + "/" + name; access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

std::vector<Loop> innermost_loops(const std::string& assembly) {
  static const std::regex kLabel(R"(^(\.?[A-Za-z_][\w.$]*):.*)");
  // x86's jumps and ARM's branches back to a label
  static const std::regex kBranch(
      R"(^\s+(j\w+|b\.?\w*|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.?[A-Za-z_][\w.$]*)\s*(?:[#/;].*)?$)");
  std::vector<std::string> lines;
  std::istringstream in(assembly);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::map<std::string, size_t> labels;
  std::vector<Loop> loops;
  size_t last_end = 0;
  for (size_t i = 0; i < lines.size(); i++) {
    std::smatch words;
    if (std::regex_match(lines[i], words, kLabel)) labels[words[1]] = i;
    if (!std::regex_match(lines[i], words, kBranch)) continue;
    const auto start = labels.find(words[2]);
    // a loop that holds a loop is not innermost
    if (start == labels.end() || start->second < last_end) continue;
    last_end = i;
    Loop loop{words[2], "", 0};
    for (size_t l = start->second + 1; l < i; l++) {
      const std::string& line = lines[l];
      const size_t first = line.find_first_not_of(" \t");
      if (first == std::string::npos || line[first] == '.' || line[first] == '#' || line[first] == '/') continue;
      loop.body += line + "\n";
      if (line.find("(%rsp)") != std::string::npos || line.find("[rsp") != std::string::npos ||
          line.find("[sp") != std::string::npos)
        loop.spills++;
    }
    if (!loop.body.empty()) loops.push_back(std::move(loop));
  }
  return loops;
}

namespace {

constexpr double kSpillCycles = 1;

class McaMeasurer : public Measurer {
 public:
  McaMeasurer(Mca mca, const Tools& tools, std::unique_ptr<Measurer> verifier)
      : mca_(std::move(mca)), tools_(tools), verifier_(std::move(verifier)) {
    if (mca_.program.empty()) mca_.program = find_mca();
    if (mca_.program.empty())
      throw std::invalid_argument("--measure mca needs llvm-mca 19 or newer (Debian: apt-get install llvm-19)");
  }
  std::string fidelity() const override { return "static-mca"; }

  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome;
    outcome.reason = Reason::ok;
    if (verifier_) {
      Job verify = job;
      verify.race = false;
      outcome = verifier_->measure(space, candidate, verify);
      if (!outcome.usable()) return outcome;
    }
    const fs::path folder = candidate.built.library + ".asm";
    std::vector<std::string> command = generator_command(tools_, space, candidate.point, folder.string());
    command.insert(command.end(), {"--emit", "assembly"});
    const Ended generated = run_child(command, "", tools_.limits);
    std::string assembly;
    std::error_code ignored;
    for (const auto& file : fs::directory_iterator(folder, ignored))
      if (file.path().extension() == ".s") {
        std::ifstream in(file.path());
        assembly = {std::istreambuf_iterator<char>(in), {}};
      }
    fs::remove_all(folder, ignored);
    if (!generated.well() || assembly.empty()) {
      outcome.reason = Reason::compile_error;
      outcome.detail = "the generator " + generated.text();
      return outcome;
    }
    rate(outcome, space, candidate, assembly);
    return outcome;
  }

 private:
  static double multiplications(const std::string& body) {
    static const std::regex kMultiply(R"(\b(vfn?madd\w*|vfnmadd\w*|vfmsub\w*|mulps|vmulps|fmla|fmul)\b)");
    return static_cast<double>(
        std::distance(std::sregex_iterator(body.begin(), body.end(), kMultiply), std::sregex_iterator()));
  }

  // Cycles for each multiply-add instruction: of the loops that do most of them, where a kernel spends its time. Trip
  // counts would need the lowered loops; work that every configuration must do is the common measure instead.
  void rate(Outcome& outcome, const Space& space, const Candidate& candidate, const std::string& assembly) const {
    const auto loops = innermost_loops(assembly);
    std::string input, syntax = assembly.find("%rsp") != std::string::npos ? "" : ".intel_syntax noprefix\n";
    std::vector<const Loop*> working;
    double most = 0;
    for (const Loop& loop : loops) most = std::max(most, multiplications(loop.body));
    for (const Loop& loop : loops)
      if (multiplications(loop.body) > 0 && multiplications(loop.body) >= most / 4) working.push_back(&loop);
    if (space.target.starts_with("arm")) syntax.clear();
    for (const Loop* loop : working)
      input += fmt::format("# LLVM-MCA-BEGIN {}\n{}# LLVM-MCA-END\n", loop->label, loop->body);
    (void)candidate;
    if (working.empty()) {
      outcome.cost = static_cast<double>(assembly.size());
      outcome.detail = "no loop multiplies: rated by its length";
      return;
    }
    std::vector<std::string> command = {mca_.program, "-json", "-iterations=100"};
    command.push_back(space.target.starts_with("arm") ? "-mtriple=aarch64-linux-gnu" : "-mtriple=x86_64-linux-gnu");
    if (!mca_.cpu.empty()) command.push_back("-mcpu=" + mca_.cpu);
    const Ended rated = run_child(command, syntax + input, tools_.limits);
    const Json json = Json::parse(rated.out, nullptr, false);
    if (!rated.well() || !json.is_object() || json.at("CodeRegions").size() != working.size()) {
      outcome.reason = Reason::infra;
      outcome.detail = fmt::format("{} {}", mca_.program, rated.text());
      return;
    }
    double cycles = 0, work = 0;
    for (size_t i = 0; i < working.size(); i++) {
      const Json& summary = json.at("CodeRegions")[i].at("SummaryView");
      cycles += summary.at("TotalCycles").get<double>() / summary.at("Iterations").get<double>() +
                kSpillCycles * working[i]->spills;
      work += multiplications(working[i]->body);
    }
    outcome.cost = cycles / work;
  }

  Mca mca_;
  const Tools& tools_;
  std::unique_ptr<Measurer> verifier_;
};

}  // namespace

std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier) {
  return std::make_unique<McaMeasurer>(mca, tools, std::move(verifier));
}

}  // namespace lathe::tune
