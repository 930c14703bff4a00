#include "sass.h"

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

namespace lathe::tune {

namespace {

// CUDA's programming guide, its table of technical specifications by compute capability. A block takes 1 KiB of shared
// memory for the system from 8.0 on.
struct Multiprocessor {
  int architecture, warps, blocks, shared_kib, reserved;
};
constexpr Multiprocessor kMultiprocessors[] = {
    {75, 32, 16, 64, 0},      {80, 64, 32, 164, 1024},  {86, 48, 16, 100, 1024},  {87, 48, 16, 164, 1024},
    {89, 48, 24, 100, 1024},  {90, 64, 32, 228, 1024},  {100, 64, 32, 228, 1024}, {103, 64, 32, 228, 1024},
    {110, 48, 24, 228, 1024}, {120, 48, 24, 100, 1024}, {121, 48, 24, 100, 1024}};
constexpr int kWarp = 32, kRegisters = 65536, kRegisterGrain = 256;  // of a multiprocessor; of a warp

int up(int n, int grain) { return (n + grain - 1) / grain * grain; }

Mix mix_of(const std::string& instruction) {
  static const std::regex kOpcode(R"((?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*))");
  std::smatch words;
  if (!std::regex_search(instruction, words, kOpcode, std::regex_constants::match_continuous)) return {};
  const std::string code = words[1];
  const auto is = [&](std::initializer_list<const char*> codes) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  };
  Mix mix;
  mix.all = 1;
  mix.fma = is({"FFMA", "FFMA2"});
  mix.other_float = is({"FADD", "FMUL", "FADD2", "FMUL2", "FMNMX", "FSEL", "FSETP", "FSET"});
  mix.special = is({"MUFU"});
  mix.shared = is({"LDS", "STS"});
  mix.global = is({"LDG", "STG", "LD", "ST"});
  mix.barriers = is({"BAR"});
  // the ones with a 2 work on pairs
  mix.flops = is({"FFMA2"}) ? 4 : is({"FFMA"}) ? 2 : is({"FADD2", "FMUL2"}) ? 2 : is({"FADD", "FMUL", "MUFU"}) ? 1 : 0;
  return mix;
}

struct Line {
  std::string text;    // an instruction
  std::string target;  // of a branch
};

// A loop is what a branch goes back over.
std::vector<Mix> innermost(const std::vector<Line>& lines, const std::map<std::string, size_t>& labels) {
  std::vector<std::pair<size_t, size_t>> loops;
  for (size_t i = 0; i < lines.size(); i++)
    if (const auto label = labels.find(lines[i].target); label != labels.end() && label->second < i)
      loops.emplace_back(label->second, i);
  std::sort(loops.begin(), loops.end());
  std::vector<Mix> mixes;
  for (const auto& [begin, end] : loops) {
    const bool around = std::any_of(loops.begin(), loops.end(), [&, first = begin, last = end](const auto& other) {
      return other != std::pair{first, last} && other.first >= first && other.second <= last;
    });
    if (around) continue;
    Mix mix;
    for (size_t i = begin; i <= end; i++) mix += mix_of(lines[i].text);
    mixes.push_back(mix);
  }
  return mixes;
}

const Multiprocessor* find_multiprocessor(int architecture) {
  const auto* const found = std::find_if(std::begin(kMultiprocessors), std::end(kMultiprocessors),
                                         [&](const Multiprocessor& l) { return l.architecture == architecture; });
  return found == std::end(kMultiprocessors) ? nullptr : found;
}

}  // namespace

Mix& Mix::operator+=(const Mix& other) {
  for (auto field : {&Mix::all, &Mix::fma, &Mix::other_float, &Mix::special, &Mix::shared, &Mix::global, &Mix::barriers,
                     &Mix::flops})
    this->*field += other.*field;
  return *this;
}

std::vector<Assembled> read_ptxas(const std::string& text) {
  static const std::regex kEntry(R"(Compiling entry function '([^']+)')"), kFrame(R"((\d+) bytes stack frame)"),
      kSpills(R"((\d+) bytes spill (?:stores|loads))"), kUsed(R"(Used (\d+) registers)"),
      kShared(R"((\d+) bytes smem)");
  std::vector<Assembled> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch words;
    if (std::regex_search(line, words, kEntry)) all.push_back({words[1], 0, 0, 0, 0});
    if (all.empty()) continue;
    if (std::regex_search(line, words, kFrame)) all.back().stack = std::stoi(words[1]);
    for (std::sregex_iterator at(line.begin(), line.end(), kSpills), end; at != end; ++at)
      all.back().spills += std::stoi((*at)[1]);
    if (std::regex_search(line, words, kUsed)) all.back().registers = std::stoi(words[1]);
    if (std::regex_search(line, words, kShared)) all.back().fixed = std::stoi(words[1]);
  }
  return all;
}

std::vector<int> read_architectures(const std::string& help) {
  static const std::regex kName(R"('sm_(\d+)')");
  std::set<int> all;
  for (std::sregex_iterator at(help.begin(), help.end(), kName), end; at != end; ++at) all.insert(std::stoi((*at)[1]));
  return {all.begin(), all.end()};
}

std::map<std::string, Listed> read_listing(const std::string& text) {
  static const std::regex kSection(R"(^\.text\.(\S+):)"), kLabel(R"(^(\.L_x_\d+):)"),
      kInstruction(R"(^\s*/\*[0-9a-f]+\*/\s+(.*?)\s*;)"), kTarget(R"(BRA[^`]*`\((\.L_x_\d+)\))");
  std::map<std::string, Listed> all;
  std::string entry;
  std::vector<Line> lines;
  std::map<std::string, size_t> labels;
  const auto close = [&] {
    if (!entry.empty()) {
      Listed& listed = all[entry];
      for (const Line& line : lines) listed.whole += mix_of(line.text);
      listed.loops = innermost(lines, labels);
    }
    lines.clear();
    labels.clear();
  };
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::smatch words;
    if (std::regex_search(line, words, kSection)) {
      close();
      entry = words[1];
    } else if (std::regex_search(line, words, kLabel)) {
      labels[words[1]] = lines.size();
    } else if (std::regex_search(line, words, kInstruction)) {
      lines.push_back({words[1], ""});
      const std::string instruction = lines.back().text;
      if (std::regex_search(instruction, words, kTarget)) lines.back().target = words[1];
    }
  }
  close();
  return all;
}

Mix Listed::hot() const {
  Mix best;
  for (const Mix& mix : loops)
    if (mix.flops > best.flops) best = mix;
  return best;
}

int resident_blocks(int architecture, int registers, int threads, int64_t shared) {
  const Multiprocessor* l = find_multiprocessor(architecture);
  if (!l) return -1;
  const int warps = up(threads, kWarp) / kWarp;
  const int by_registers = kRegisters / (up(std::max(registers, 1) * kWarp, kRegisterGrain) * warps);
  const int64_t by_shared = int64_t{l->shared_kib} * 1024 / std::max<int64_t>(1, shared + l->reserved);
  return static_cast<int>(std::min<int64_t>({l->blocks, l->warps / warps, by_registers, by_shared}));
}

double occupancy(int architecture, int registers, int threads, int64_t shared) {
  const Multiprocessor* l = find_multiprocessor(architecture);
  if (!l) return -1;
  const int warps = up(threads, kWarp) / kWarp;
  return static_cast<double>(resident_blocks(architecture, registers, threads, shared) * warps) / l->warps;
}

int reserved_shared(int architecture) {
  const Multiprocessor* l = find_multiprocessor(architecture);
  return l ? l->reserved : 0;
}

}  // namespace lathe::tune
