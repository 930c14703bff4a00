#include "sass_warp.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "sass_values.h"

namespace lathe::tune::sass {

namespace {

constexpr int kEnded = -1;
constexpr int64_t kMostSteps = 1 << 22;  // of a warp

// Passes over 32 banks of 4 bytes: 16-byte accesses go by half warps, and threads that want the same word share it.
int passes(const std::array<uint64_t, kLanes>& addresses, uint32_t active, int bytes) {
  const int group = bytes == 16 ? kLanes / 2 : kLanes;
  int all = 0;
  for (int begin = 0; begin < kLanes; begin += group) {
    std::set<uint64_t> words;
    std::array<int, kLanes> banks{};
    for (int lane = begin; lane < begin + group; lane++)
      if (active >> lane & 1)
        for (int b = 0; b < std::max(bytes, 4); b += 4) words.insert((addresses[static_cast<size_t>(lane)] + b) / 4);
    for (const uint64_t word : words) banks[word % kLanes]++;
    all += *std::max_element(banks.begin(), banks.end());
  }
  return all;
}

}  // namespace

// The state of a warp, and what instructions do to it.
class Warp : public Values {
 public:
  Warp(const Program& program, const Grid& grid, int64_t block, int warp)
      : Values(grid, program.architecture(), block, warp), program_(program) {
    const int threads = grid.threads[0] * grid.threads[1] * grid.threads[2];
    const int here = std::min(kLanes, threads - warp * kLanes);
    for (int lane = 0; lane < kLanes; lane++) next_[static_cast<size_t>(lane)] = lane < here ? 0 : kEnded;
  }

  Trace run() {
    while (step())
      if (static_cast<int64_t>(trace_.steps.size()) > kMostSteps)
        throw std::invalid_argument("its code does not come to an end");
    return std::move(trace_);
  }

  void go(const Instruction& i, uint32_t active) {
    for (const Operand& o : i.operands)
      if (o.kind == Kind::predicate || o.kind == Kind::uniform_predicate) active &= holds(o);
    each(active, [&](int lane) { next_[static_cast<size_t>(lane)] = i.target; });
  }
  void end(const Instruction&, uint32_t active) {
    each(active, [&](int lane) { next_[static_cast<size_t>(lane)] = kEnded; });
  }
  void load_global(const Instruction& i, uint32_t active) {
    touch(i, active, true);
    const uint32_t value = active == 0 ? 0 : content(addresses_[static_cast<size_t>(std::countr_zero(active))]);
    put_words(i.operands[0], active, value, bytes_of(i));
  }
  void store_global(const Instruction& i, uint32_t active) { touch(i, active, true); }
  void load_shared(const Instruction& i, uint32_t active) {
    touch(i, active, false);
    put_words(i.operands[0], active, kOne, bytes_of(i));
  }
  void store_shared(const Instruction& i, uint32_t active) { touch(i, active, false); }

 private:
  // The threads that are furthest behind go on together, so that branches join again where they can.
  bool step();

  static int bytes_of(const Instruction& i) {
    if (i.has("128")) return 16;
    if (i.has("64")) return 8;
    return i.has("U16") || i.has("S16") ? 2 : i.has("U8") || i.has("S8") ? 1 : 4;
  }

  void touch(const Instruction& i, uint32_t active, bool global) {
    const auto memory =
        std::find_if(i.operands.begin(), i.operands.end(), [](const Operand& o) { return o.kind == Kind::memory; });
    if (memory == i.operands.end()) throw std::invalid_argument(fmt::format("'{}' has no address", i.text));
    if (active == 0) return;
    each(active, [&](int lane) { addresses_[static_cast<size_t>(lane)] = address(*memory, lane); });
    const int bytes = bytes_of(i);
    Step& step = trace_.steps.back();
    step.wavefronts = passes(addresses_, active, bytes);
    if (!global) return;
    std::map<uint64_t, uint8_t> lines;
    each(active, [&](int lane) {
      const uint64_t at = addresses_[static_cast<size_t>(lane)];
      lines[at / 128] |= static_cast<uint8_t>(1 << at % 128 / 32);
    });
    step.first = static_cast<uint32_t>(trace_.touched.size());
    step.lines = static_cast<uint32_t>(lines.size());
    for (const auto& [line, sectors] : lines) trace_.touched.push_back({line, sectors});
    step.wavefronts = std::max(step.wavefronts, static_cast<int>(lines.size()));
  }

  const Program& program_;
  std::array<int, kLanes> next_{};
  std::array<uint64_t, kLanes> addresses_{};
  Trace trace_;
};

struct Meaning {
  std::string_view code;
  Pipe pipe;
  void (Warp::*run)(const Instruction&, uint32_t active);
};

namespace {

// Those that ptxas makes of our kernels for sm_80 to sm_90, and of the two that calibrate the model.
constexpr Meaning kMeanings[] = {
    {"FFMA", Pipe::fma, &Warp::one},
    {"FADD", Pipe::fma, &Warp::one},
    {"FMUL", Pipe::fma, &Warp::one},
    {"HFMA2", Pipe::fma, &Warp::halves},
    {"IMAD", Pipe::multiply, &Warp::multiply_add},
    {"IADD3", Pipe::alu, &Warp::add},
    {"LEA", Pipe::alu, &Warp::scaled_add},
    {"LOP3", Pipe::alu, &Warp::logic},
    {"SHF", Pipe::alu, &Warp::shift},
    {"SGXT", Pipe::alu, &Warp::extend_sign},
    {"ISETP", Pipe::alu, &Warp::compare},
    {"IMNMX", Pipe::alu, &Warp::least},
    {"VIMNMX", Pipe::alu, &Warp::least},
    {"VIMNMX3", Pipe::alu, &Warp::least},
    {"VIADD", Pipe::alu, &Warp::add},
    {"VIADDMNMX", Pipe::alu, &Warp::add_least},
    {"IABS", Pipe::alu, &Warp::magnitude},
    {"P2R", Pipe::alu, &Warp::save_predicates},
    {"R2P", Pipe::alu, &Warp::load_predicates},
    {"SEL", Pipe::alu, &Warp::select},
    {"PRMT", Pipe::alu, &Warp::permute},
    {"MOV", Pipe::alu, &Warp::move},
    {"CS2R", Pipe::alu, &Warp::clear},
    {"PLOP3", Pipe::alu, &Warp::predicate_logic},
    {"FMNMX", Pipe::alu, &Warp::one},
    {"FSEL", Pipe::alu, &Warp::one},
    {"FSET", Pipe::alu, &Warp::one},
    {"FSETP", Pipe::alu, &Warp::compare_floats},
    {"FCHK", Pipe::special, &Warp::never},
    {"MUFU", Pipe::special, &Warp::special},
    {"I2F", Pipe::special, &Warp::to_float},
    {"I2FP", Pipe::alu, &Warp::to_float},
    {"F2I", Pipe::special, &Warp::to_whole},
    {"FRND", Pipe::special, &Warp::one},
    {"F2F", Pipe::special, &Warp::one},
    {"F2FP", Pipe::alu, &Warp::one},
    {"HADD2", Pipe::fma, &Warp::one},
    {"S2R", Pipe::special, &Warp::place},
    {"S2UR", Pipe::special, &Warp::place},
    {"R2UR", Pipe::alu, &Warp::move},
    {"LDC", Pipe::constant, &Warp::load_constant},
    {"ULDC", Pipe::uniform, &Warp::load_constant},
    {"UMOV", Pipe::uniform, &Warp::move},
    {"UIADD3", Pipe::uniform, &Warp::add},
    {"UIMAD", Pipe::uniform, &Warp::multiply_add},
    {"ULEA", Pipe::uniform, &Warp::scaled_add},
    {"ULOP3", Pipe::uniform, &Warp::logic},
    {"USHF", Pipe::uniform, &Warp::shift},
    {"UISETP", Pipe::uniform, &Warp::compare},
    {"USEL", Pipe::uniform, &Warp::select},
    {"UPRMT", Pipe::uniform, &Warp::permute},
    {"UP2UR", Pipe::uniform, &Warp::save_predicates},
    {"UPLOP3", Pipe::uniform, &Warp::predicate_logic},
    {"LDG", Pipe::global, &Warp::load_global},
    {"STG", Pipe::global, &Warp::store_global},
    {"LDS", Pipe::shared, &Warp::load_shared},
    {"STS", Pipe::shared, &Warp::store_shared},
    {"BRA", Pipe::control, &Warp::go},
    // a jump that ptxas writes as a call from which nobody returns
    {"CALL", Pipe::control, &Warp::go},
    {"EXIT", Pipe::control, &Warp::end},
    {"BAR", Pipe::control, &Warp::nothing},
    {"BSSY", Pipe::control, &Warp::nothing},
    {"BSYNC", Pipe::control, &Warp::nothing},
    {"BREAK", Pipe::control, &Warp::nothing},
    {"WARPSYNC", Pipe::control, &Warp::nothing},
    {"DEPBAR", Pipe::control, &Warp::nothing},
    {"NOP", Pipe::control, &Warp::nothing},
};

}  // namespace

Program::Program(Code code, int architecture) : code_(std::move(code)), architecture_(architecture) {
  for (const Instruction& i : code_) {
    const auto* const found =
        std::find_if(std::begin(kMeanings), std::end(kMeanings), [&](const Meaning& m) { return m.code == i.code; });
    meanings_.push_back(found == std::end(kMeanings) ? nullptr : found);
  }
}

const Meaning& Program::meaning(int at) const {
  const Meaning* meaning = meanings_[static_cast<size_t>(at)];
  if (!meaning)
    throw std::invalid_argument(fmt::format("unknown instruction '{}'", code_[static_cast<size_t>(at)].text));
  return *meaning;
}
Pipe Program::pipe(int at) const { return meaning(at).pipe; }

bool Warp::step() {
  int at = kEnded;
  for (const int next : next_)
    if (next != kEnded && (at == kEnded || next < at)) at = next;
  if (at == kEnded) return false;
  if (at >= static_cast<int>(program_.code().size())) throw std::invalid_argument("its code has no end");
  uint32_t here = 0;
  for (size_t lane = 0; lane < kLanes; lane++)
    if (next_[lane] == at) here |= 1U << lane;
  const Instruction& i = program_.code()[static_cast<size_t>(at)];
  each(here, [&](int lane) { next_[static_cast<size_t>(lane)]++; });
  const Meaning& meaning = program_.meaning(at);
  uint32_t active = here & holds(i.guard);
  if (meaning.pipe == Pipe::uniform) active &= -active;  // once for all threads
  trace_.steps.push_back({at, std::popcount(active), 0, 0, 0});
  (this->*meaning.run)(i, active);
  return true;
}

Trace follow(const Program& program, const Grid& grid, int64_t block, int warp) {
  return Warp(program, grid, block, warp).run();
}

}  // namespace lathe::tune::sass
