#include "processor.h"

#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace lathe {

namespace {

struct RowTarget {
  const char *name, *halide;
};
constexpr RowTarget kRows[] = {
#define LATHE_TARGET(name, halide, family, fallback) {#name, halide},
#include "../schedules/targets.def"
#undef LATHE_TARGET
};

#if defined(__x86_64__)

struct Leaf {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};
Leaf cpuid(uint32_t leaf, uint32_t sub) {
  Leaf r;
  __get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d);
  return r;
}
uint64_t saved_by_the_system() {
  uint32_t low = 0, high = 0;
  if (cpuid(1, 0).c >> 27 & 1) __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}
bool vendor(const char* name) {
  const Leaf l = cpuid(0, 0);
  return std::memcmp(&l.b, name, 4) == 0 && std::memcmp(&l.d, name + 4, 4) == 0 && std::memcmp(&l.c, name + 8, 4) == 0;
}
bool all(uint32_t word, std::initializer_list<int> bits) {
  for (int bit : bits)
    if (!(word >> bit & 1)) return false;
  return true;
}

// One word of a Halide target string.
bool has(std::string_view word) {
  const Leaf one = cpuid(1, 0), seven = cpuid(7, 0), seven1 = cpuid(7, 1);
  const uint64_t saved = saved_by_the_system();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6;
  const bool amd = vendor("AuthenticAMD");
  if (word == "sse41") return all(one.c, {19});
  if (word == "avx") return ymm && all(one.c, {28});
  if (word == "f16c") return ymm && all(one.c, {29});
  if (word == "fma") return ymm && all(one.c, {12});
  if (word == "avx2") return ymm && all(seven.b, {5});
  if (word == "avx512") return zmm && all(seven.b, {16, 28});                              // F, CD
  if (word == "avx512_skylake") return zmm && all(seven.b, {16, 17, 28, 30, 31});          // and DQ, BW, VL
  if (word == "avx512_cannonlake") return zmm && all(seven.b, {21}) && all(seven.c, {1});  // IFMA, VBMI
  // VBMI2, VNNI, BITALG, VPOPCNTDQ, BF16. Halide's code for it may use what only AMD has (sse4a), and its
  // sapphirerapids what only Intel has, so that neither set includes the other.
  if (word == "avx512_zen4") return zmm && all(seven.c, {6, 11, 12, 14}) && all(seven1.a, {5});
  if (word == "avx512_sapphirerapids")
    return zmm && !amd && all(seven.d, {23}) && all(seven1.a, {4});  // FP16, AVX-VNNI
  return word == "x86" || word == "64" || word == "linux";
}

bool may_run(std::string_view halide) {
  const bool zen4_only = halide.find("zen4") != halide.npos && halide.find("sapphirerapids") == halide.npos;
  return !zen4_only || vendor("AuthenticAMD");
}

const char* uarch() {
  const Leaf one = cpuid(1, 0);
  const uint32_t family = (one.a >> 8 & 0xf) + (one.a >> 20 & 0xff);
  if (vendor("AuthenticAMD")) {
    if (has("avx512_zen4")) return family >= 0x1a ? "znver5" : "znver4";
    if (has("avx2")) return family >= 0x19 ? "znver3" : "znver2";
    return "generic";
  }
  // by features and not by model: virtual machines report models of their own
  if (has("avx512_sapphirerapids")) return "sapphirerapids";
  if (has("avx512_cannonlake")) return "icelake-server";
  if (has("avx512_skylake")) return "skylake-avx512";
  if (has("avx2")) return "haswell";
  return "generic";
}

#elif defined(__aarch64__)

bool has(std::string_view word) {
  const unsigned long caps = getauxval(AT_HWCAP);
  if (word == "arm_fp16") return caps & HWCAP_ASIMDHP;
  if (word == "arm_dot_prod") return caps & HWCAP_ASIMDDP;
  return word == "arm" || word == "64" || word == "linux";
}
bool may_run(std::string_view) { return true; }
const char* uarch() { return "generic"; }

#else
#error "lathe knows x86-64 and aarch64"
#endif

const RowTarget* find(const char* row) {
  for (const RowTarget& r : kRows)
    if (std::strcmp(r.name, row) == 0) return &r;
  return nullptr;
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

const char* missing_feature(const char* row) {
  static thread_local char missing[64];
  const RowTarget* target = find(row);
  if (!target) return "a row of that name";
  std::string_view rest = target->halide;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find('-'));
    rest.remove_prefix(word.size() < rest.size() ? word.size() + 1 : rest.size());
    if (has(word)) continue;
    missing[word.copy(missing, sizeof missing - 1)] = 0;
    return missing;
  }
  return may_run(target->halide) ? nullptr : "AMD's part of the instruction set";
}

bool row_runs(const char* row) { return missing_feature(row) == nullptr; }

const char* host_uarch() { return uarch(); }

}  // namespace lathe
