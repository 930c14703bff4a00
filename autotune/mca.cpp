#include "mca.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
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
      if (std::string file = folder + "/" + name; access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

namespace {

// Where a block of the listing belongs, from the comments at its head.
struct Place {
  std::string loop;    // the header of the innermost loop around it; empty: none
  std::string parent;  // where it is a header itself: that of the loop around that
  std::string name;
  bool header = false;
};

Place place_of(const std::string& label, const std::string& comments) {
  static const std::regex kName(R"re(%"?\d*_?for_([^"\s]+)"?)re"), kIn(R"(in Loop: Header=(\w+))"),
      kParent(R"(Parent Loop (\w+) Depth)");
  Place place;
  std::smatch words;
  if (comments.find("Loop Header:") != std::string::npos) {
    place.header = true;
    place.loop = label;
    if (std::regex_search(comments, words, kName)) place.name = words[1];
    for (std::sregex_iterator at(comments.begin(), comments.end(), kParent), end; at != end; ++at)
      place.parent = (*at)[1];
  } else if (std::regex_search(comments, words, kIn)) {
    place.loop = words[1];
  }
  return place;
}

bool only_comment(const std::string& line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string::npos || line[first] == '#' || line[first] == '/';
}

}  // namespace

std::vector<Loop> loops_of(const std::string& assembly) {
  static const std::regex kBlock(R"(^(?:\.L(\w+):|(?:#|//) %bb\.\d+:)(.*))");
  std::vector<std::string> lines;
  std::istringstream in(assembly);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::vector<Loop> loops;
  std::map<std::string, size_t> headers;
  std::map<std::string, Loop> early;  // of blocks that stand before their loop's header
  std::string current;
  for (size_t i = 0; i < lines.size(); i++) {
    std::smatch words;
    if (std::regex_match(lines[i], words, kBlock)) {
      std::string comments = words[2];
      while (i + 1 < lines.size() && only_comment(lines[i + 1]) && !std::regex_match(lines[i + 1], kBlock))
        comments += "\n" + lines[++i];
      const Place place = place_of(words[1], comments);
      current = place.loop;
      if (!place.header) continue;
      headers[current] = loops.size();
      loops.push_back(early[current]);
      loops.back().name = place.name;
      if (const auto parent = headers.find(place.parent); parent != headers.end())
        loops[parent->second].innermost = false;
      continue;
    }
    const size_t first = lines[i].find_first_not_of(" \t");
    if (current.empty() || only_comment(lines[i]) || lines[i][first] == '.') continue;
    const auto header = headers.find(current);
    Loop& loop = header == headers.end() ? early[current] : loops[header->second];
    loop.body += lines[i] + "\n";
    loop.spills += lines[i].find("-byte Folded") != std::string::npos ||
                   lines[i].find("-byte Spill") != std::string::npos ||
                   lines[i].find("-byte Reload") != std::string::npos;
  }
  return loops;
}

std::vector<Trips> read_trips(const std::string& text) {
  std::vector<Trips> trips;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Trips one;
    int innermost = 0;
    words >> one.count >> innermost >> one.name;
    one.innermost = innermost != 0;
    trips.push_back(one);
  }
  return trips;
}

std::vector<double> matched(const std::vector<Loop>& loops, const std::vector<Trips>& trips) {
  std::vector<double> counts(loops.size());
  for (const Trips& t : trips) {
    size_t best = loops.size();
    for (size_t i = 0; i < loops.size(); i++) {
      if (loops[i].name != t.name && !loops[i].name.starts_with(t.name + ".")) continue;
      // the copy for a loop that does not run inside is short of it
      if (best == loops.size() || (loops[best].innermost != t.innermost && loops[i].innermost == t.innermost)) best = i;
    }
    if (best < loops.size()) counts[best] = t.count;
  }
  return counts;
}

namespace {

constexpr double kSpillCycles = 0.5;  // of a load or store on the stack: where they are many, ports are short

class McaMeasurer : public Measurer {
 public:
  McaMeasurer(Mca mca, const Tools& tools, std::unique_ptr<Measurer> verifier)
      : mca_(std::move(mca)), tools_(tools), verifier_(std::move(verifier)) {
    if (mca_.program.empty()) mca_.program = find_mca();
    if (mca_.program.empty())
      throw std::invalid_argument("--measure mca needs llvm-mca 19 or newer (Debian: apt-get install llvm-19)");
  }
  std::string fidelity() const override { return "static-mca"; }
  bool verifies() const override { return verifier_ != nullptr; }

  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome;
    outcome.reason = Reason::ok;
    if (verifier_) {
      Job verify = job;
      verify.race = false;
      outcome = verifier_->measure(space, candidate, verify);
      if (!outcome.usable()) return outcome;
    }
    double cost = 0;
    for (const Shape& shape : job.shapes) {
      rate(outcome, space, candidate, job, shape);
      if (!outcome.usable()) return outcome;
      // of a token, and no shape counts for more than another
      cost += std::log(outcome.cost / static_cast<double>(candidate.built.chunk));
    }
    outcome.cost = std::exp(cost / static_cast<double>(job.shapes.size()));
    return outcome;
  }

 private:
  static void fail(Outcome& outcome, Reason reason, const std::string& detail) {
    outcome.reason = reason;
    outcome.detail = detail;
  }

  // The arguments' extents, from the runner of this machine: it needs no kernel for them.
  std::vector<std::string> extents(Outcome& outcome, const Candidate& candidate, Job job, const Shape& shape) const {
    job.candidate = candidate.built;
    job.shapes = {shape};
    job.extents = true;
    job.verify = job.race = false;
    const Ended ended = run_child({mca_.runner}, Json(job).dump(), tools_.limits);
    const Outcome told = read_runner(ended, false);
    if (!told.usable()) fail(outcome, Reason::infra, told.detail);
    std::istringstream words(told.detail);
    return {std::istream_iterator<std::string>(words), {}};
  }

  // What the generator writes for the candidate besides its object: the assembly, and how often its loops run.
  void generate(Outcome& outcome, const Space& space, const Candidate& candidate,
                const std::vector<std::string>& estimates, std::string& assembly, std::string& trips) const {
    const fs::path folder = candidate.built.library + ".asm";
    std::vector<std::string> command = generator_command(tools_, space, candidate.point, folder.string());
    command.insert(command.end(), {"--emit", "assembly,trips"});
    for (const std::string& estimate : estimates) command.insert(command.end(), {"--estimate", estimate});
    const Ended generated = run_child(command, "", tools_.limits);
    std::error_code ignored;
    for (const auto& file : fs::directory_iterator(folder, ignored)) {
      std::ifstream in(file.path());
      if (file.path().extension() == ".s") assembly = {std::istreambuf_iterator<char>(in), {}};
      if (file.path().extension() == ".trips") trips = {std::istreambuf_iterator<char>(in), {}};
    }
    fs::remove_all(folder, ignored);
    if (!generated.well() || assembly.empty())
      fail(outcome, generated.by_others() ? Reason::infra : Reason::compile_error, "the generator " + generated.text());
  }

  // Cycles of a call: of each loop's own body, as often as it runs.
  void rate(Outcome& outcome, const Space& space, const Candidate& candidate, const Job& job,
            const Shape& shape) const {
    const auto estimates = extents(outcome, candidate, job, shape);
    std::string assembly, trips;
    if (outcome.usable()) generate(outcome, space, candidate, estimates, assembly, trips);
    if (!outcome.usable()) return;
    const auto loops = loops_of(assembly);
    const auto counts = matched(loops, read_trips(trips));
    if (counts.empty()) return fail(outcome, Reason::unrated, "the compiler made other loops than it was given");
    const bool arm = space.target.starts_with("arm");
    std::string input;
    std::vector<size_t> rated;
    for (size_t i = 0; i < loops.size(); i++) {
      if (loops[i].body.empty() || counts[i] == 0) continue;
      rated.push_back(i);
      input += fmt::format("# LLVM-MCA-BEGIN {}\n{}# LLVM-MCA-END\n", loops[i].name, loops[i].body);
    }
    std::vector<std::string> command = {mca_.program, "-json", "-iterations=100"};
    command.emplace_back(arm ? "-mtriple=aarch64-linux-gnu" : "-mtriple=x86_64-linux-gnu");
    if (!mca_.cpu.empty()) command.push_back("-mcpu=" + mca_.cpu);
    const bool intel = !arm && assembly.find("%rsp") == std::string::npos;
    const Ended ended = run_child(command, (intel ? ".intel_syntax noprefix\n" : "") + input, tools_.limits);
    const Json json = Json::parse(ended.out, nullptr, false);
    if (!ended.well() || !json.is_object() || json.at("CodeRegions").size() != rated.size())
      return fail(outcome, Reason::infra, fmt::format("{} {}", mca_.program, ended.text()));
    outcome.cost = 0;
    for (size_t r = 0; r < rated.size(); r++) {
      const Json& summary = json.at("CodeRegions")[r].at("SummaryView");
      const double cycles = summary.at("TotalCycles").get<double>() / summary.at("Iterations").get<double>();
      outcome.cost += counts[rated[r]] * (cycles + kSpillCycles * loops[rated[r]].spills);
    }
  }

  Mca mca_;
  const Tools& tools_;
  std::unique_ptr<Measurer> verifier_;
};

class RatedMeasurer : public Measurer {
 public:
  RatedMeasurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model)
      : measurer_(std::move(measurer)), model_(std::move(model)) {}
  std::string fidelity() const override { return measurer_->fidelity(); }
  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome = measurer_->measure(space, candidate, job);
    // finalists and duels were rated when they were candidates
    if (outcome.usable() && job.race && job.racing) outcome.cost = model_->measure(space, candidate, job).cost;
    return outcome;
  }

 private:
  std::unique_ptr<Measurer> measurer_, model_;
};

}  // namespace

std::unique_ptr<Measurer> rated_measurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model) {
  return std::make_unique<RatedMeasurer>(std::move(measurer), std::move(model));
}

std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier) {
  return std::make_unique<McaMeasurer>(mca, tools, std::move(verifier));
}

}  // namespace lathe::tune
