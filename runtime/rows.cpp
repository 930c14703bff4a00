#include "rows.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string_view>

namespace lathe {

namespace {

struct RowTarget {
  const char *name, *halide, *family;
};
constexpr RowTarget kRows[] = {
#define LATHE_TARGET(name, halide, family, fallback) {#name, halide, #family},
#include "../schedules/targets.def"
#undef LATHE_TARGET
};

const RowTarget* find(const char* row) {
  for (const RowTarget& r : kRows)
    if (std::strcmp(r.name, row) == 0) return &r;
  return nullptr;
}

// Takes it from the front of a Halide target string.
std::string_view next_word(std::string_view& rest) {
  const std::string_view word = rest.substr(0, rest.find('-'));
  rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : rest.size());
  return word;
}

bool all(uint32_t word, std::initializer_list<int> bits) {
  for (int bit : bits)
    if (!(word >> bit & 1)) return false;
  return true;
}

// One word of a Halide target string.
bool x86_has(const Processor& p, std::string_view word) {
  const bool ymm = (p.saved & 0x6) == 0x6, zmm = (p.saved & 0xe6) == 0xe6;
  if (word == "sse41") return all(p.leaf1_ecx, {19});
  if (word == "avx") return ymm && all(p.leaf1_ecx, {28});
  if (word == "f16c") return ymm && all(p.leaf1_ecx, {29});
  if (word == "fma") return ymm && all(p.leaf1_ecx, {12});
  if (word == "avx2") return ymm && all(p.leaf7_ebx, {5});
  if (word == "avx512") return zmm && all(p.leaf7_ebx, {16, 28});                                  // F, CD
  if (word == "avx512_skylake") return zmm && all(p.leaf7_ebx, {16, 17, 28, 30, 31});              // and DQ, BW, VL
  if (word == "avx512_cannonlake") return zmm && all(p.leaf7_ebx, {21}) && all(p.leaf7_ecx, {1});  // IFMA, VBMI
  // VBMI2, VNNI, BITALG, VPOPCNTDQ, BF16. Halide's code for it may use what only AMD has (sse4a), and its
  // sapphirerapids what only Intel has, so that neither set includes the other.
  if (word == "avx512_zen4") return zmm && all(p.leaf7_ecx, {6, 11, 12, 14}) && all(p.leaf7_1_eax, {5});
  if (word == "avx512_sapphirerapids")
    return zmm && !p.is_amd() && all(p.leaf7_edx, {23}) && all(p.leaf7_1_eax, {4});  // FP16, AVX-VNNI
  return word == "x86" || word == "64" || word == "linux";
}

// Linux's numbers, which a host of another architecture has no header for.
constexpr int kVectors = 1, kHalfScalars = 9, kHalfVectors = 10, kDotProducts = 20;

bool arm_has(const Processor& p, std::string_view word) {
  const auto capable = [&](int bit) { return (p.hwcap >> bit & 1) != 0; };
  if (word == "arm_fp16") return capable(kHalfScalars) && capable(kHalfVectors);
  if (word == "arm_dot_prod") return capable(kDotProducts);
  return word == "arm" || word == "64" || word == "linux";
}

bool has(const Processor& p, std::string_view word) {
  return p.architecture == Processor::Architecture::kX86 ? x86_has(p, word) : arm_has(p, word);
}

bool of_amd_only(std::string_view halide) {
  return halide.find("zen4") != halide.npos && halide.find("sapphirerapids") == halide.npos;
}

}  // namespace

const std::vector<const char*>& row_names() {
  static const std::vector<const char*> names = [] {
    std::vector<const char*> all_names;
    for (const RowTarget& r : kRows) all_names.push_back(r.name);
    return all_names;
  }();
  return names;
}

std::string missing_feature(const Processor& processor, const char* row) {
  const RowTarget* target = find(row);
  if (!target) return "a row of that name";
  std::string_view rest = target->halide;
  while (!rest.empty()) {
    const std::string_view word = next_word(rest);
    if (!has(processor, word)) return std::string(word);
  }
  // no word of a target asks for it: Halide takes it for granted
  if (processor.architecture == Processor::Architecture::kArm && !(processor.hwcap >> kVectors & 1)) return "asimd";
  return of_amd_only(target->halide) && !processor.is_amd() ? "AMD's part of the instruction set" : "";
}

bool has_word(const char* row, std::string_view wanted) {
  const RowTarget* target = find(row);
  for (std::string_view rest = target ? target->halide : ""; !rest.empty();)
    if (next_word(rest) == wanted) return true;
  return false;
}

bool of_device(const char* row) {
  const RowTarget* target = find(row);
  return target && std::strcmp(target->family, "gpu") == 0;
}

int capability_of(const char* row) {
  constexpr std::string_view words = "cuda_capability_";
  const std::string_view halide = find(row)->halide;
  return std::atoi(halide.substr(halide.find(words) + words.size()).data());
}

bool row_runs(const Processor& processor, const char* row) { return missing_feature(processor, row).empty(); }

const char* uarch(const Processor& processor) {
  if (processor.architecture == Processor::Architecture::kArm) return "generic";
  const auto runs = [&](const char* word) { return has(processor, word); };
  if (processor.is_amd()) {
    const uint32_t family = (processor.leaf1_eax >> 8 & 0xf) + (processor.leaf1_eax >> 20 & 0xff);
    if (runs("avx512_zen4")) return family >= 0x1a ? "znver5" : "znver4";
    if (runs("avx2")) return family >= 0x19 ? "znver3" : "znver2";
    return "generic";
  }
  // by features and not by model: virtual machines report models of their own
  if (runs("avx512_sapphirerapids")) return "sapphirerapids";
  if (runs("avx512_cannonlake")) return "icelake-server";
  if (runs("avx512_skylake")) return "skylake-avx512";
  if (runs("avx2")) return "haswell";
  return "generic";
}

}  // namespace lathe
