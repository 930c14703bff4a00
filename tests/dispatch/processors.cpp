#include "processors.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>

namespace dispatch {

namespace {

using lathe::Processor;

struct Bit {
  uint32_t Processor::*word;
  int bit;
};
const std::map<std::string, Bit> kFlags = {
    {"fma", {&Processor::leaf1_ecx, 12}},
    {"sse4_1", {&Processor::leaf1_ecx, 19}},
    {"osxsave", {&Processor::leaf1_ecx, 27}},
    {"avx", {&Processor::leaf1_ecx, 28}},
    {"f16c", {&Processor::leaf1_ecx, 29}},
    {"avx2", {&Processor::leaf7_ebx, 5}},
    {"avx512f", {&Processor::leaf7_ebx, 16}},
    {"avx512dq", {&Processor::leaf7_ebx, 17}},
    {"avx512ifma", {&Processor::leaf7_ebx, 21}},
    {"avx512pf", {&Processor::leaf7_ebx, 26}},
    {"avx512er", {&Processor::leaf7_ebx, 27}},
    {"avx512cd", {&Processor::leaf7_ebx, 28}},
    {"avx512bw", {&Processor::leaf7_ebx, 30}},
    {"avx512vl", {&Processor::leaf7_ebx, 31}},
    {"avx512_vbmi", {&Processor::leaf7_ecx, 1}},
    {"avx512_vbmi2", {&Processor::leaf7_ecx, 6}},
    {"gfni", {&Processor::leaf7_ecx, 8}},
    {"avx512_vnni", {&Processor::leaf7_ecx, 11}},
    {"avx512_bitalg", {&Processor::leaf7_ecx, 12}},
    {"avx512_vpopcntdq", {&Processor::leaf7_ecx, 14}},
    {"avx512_vp2intersect", {&Processor::leaf7_edx, 8}},
    {"amx_bf16", {&Processor::leaf7_edx, 22}},
    {"avx512_fp16", {&Processor::leaf7_edx, 23}},
    {"amx_tile", {&Processor::leaf7_edx, 24}},
    {"avx_vnni", {&Processor::leaf7_1_eax, 4}},
    {"avx512_bf16", {&Processor::leaf7_1_eax, 5}},
};

// XCR0: x87 and SSE; with AVX; with AVX-512; with AMX.
constexpr uint64_t kSse = 0x3, kAvx = 0x7, kAvx512 = 0xe7, kAmx = 0x600e7;

Processor x86(const char* vendor, uint32_t signature, const std::string& flags, uint64_t saved) {
  Processor p;
  std::memcpy(p.vendor, vendor, sizeof p.vendor);
  p.leaf1_eax = signature;
  p.saved = saved;
  std::istringstream words(flags);
  for (std::string word; words >> word;) {
    const auto found = kFlags.find(word);
    if (found == kFlags.end()) throw std::invalid_argument("unknown flag " + word);
    p.*found->second.word |= uint32_t{1} << found->second.bit;
  }
  return p;
}
Processor intel(uint32_t signature, const std::string& flags, uint64_t saved) {
  return x86("GenuineIntel", signature, flags, saved);
}
Processor amd(uint32_t signature, const std::string& flags, uint64_t saved) {
  return x86("AuthenticAMD", signature, flags, saved);
}

// Linux's HWCAP bits, by number.
Processor arm(std::initializer_list<int> capabilities) {
  Processor p;
  p.architecture = Processor::Architecture::kArm;
  for (const int bit : capabilities) p.hwcap |= uint64_t{1} << bit;
  return p;
}

const std::string kAvxFlags = "sse4_1 osxsave avx f16c ";
const std::string kHaswell = kAvxFlags + "fma avx2 ";
const std::string kSkylakeX = kHaswell + "avx512f avx512dq avx512cd avx512bw avx512vl ";
const std::string kIceLake =
    kSkylakeX + "avx512ifma avx512_vbmi avx512_vbmi2 gfni avx512_vnni avx512_bitalg avx512_vpopcntdq ";
const std::string kSapphireRapids = kIceLake + "avx512_bf16 avx512_fp16 avx_vnni amx_bf16 amx_tile ";
const std::string kZen4 = kIceLake + "avx512_bf16 ";

std::string without(std::string flags, const std::string& flag) {
  const auto at = flags.find(flag + " ");
  if (at == flags.npos) throw std::invalid_argument("no flag " + flag + " to take away");
  return flags.erase(at, flag.size() + 1);
}

const std::vector<std::string> kNone,
    kSse41Rows = {"sse41"}, kAvx2Rows = {"avx2", "sse41"}, kAvx512Rows = {"avx512", "avx2", "sse41"},
    kZen4Rows = {"zen4", "avx512", "avx2", "sse41"},
    kSapphireRapidsRows = {"sapphirerapids", "avx512", "avx2", "sse41"}, kNeonRows = {"neon"},
    kHalfRows = {"neon_fp16", "neon"};

}  // namespace

std::vector<Known> processors() {
  return {
      {"Core 2 of 65 nm", intel(0x000006f6, "", 0), kNone, "generic"},
      {"Nehalem", intel(0x000106a5, "sse4_1 ", 0), kSse41Rows, "generic"},
      {"Ivy Bridge", intel(0x000306a9, kAvxFlags, kAvx), kSse41Rows, "generic"},
      {"Haswell", intel(0x000306c3, kHaswell, kAvx), kAvx2Rows, "haswell"},
      {"Knights Landing", intel(0x00050671, kHaswell + "avx512f avx512cd avx512er avx512pf", kAvx512), kAvx2Rows,
       "haswell"},
      {"Skylake-X", intel(0x00050654, kSkylakeX, kAvx512), kAvx512Rows, "skylake-avx512"},
      {"Cooper Lake", intel(0x0005065b, kSkylakeX + "avx512_vnni avx512_bf16", kAvx512), kAvx512Rows, "skylake-avx512"},
      {"Ice Lake", intel(0x000606a6, kIceLake, kAvx512), kAvx512Rows, "icelake-server"},
      {"Tiger Lake", intel(0x000806c1, kIceLake + "avx512_vp2intersect", kAvx512), kAvx512Rows, "icelake-server"},
      {"Alder Lake", intel(0x00090672, kHaswell + "gfni avx_vnni", kAvx), kAvx2Rows, "haswell"},
      {"Sapphire Rapids", intel(0x000806f8, kSapphireRapids, kAmx), kSapphireRapidsRows, "sapphirerapids"},
      {"Sapphire Rapids, AMX not saved", intel(0x000806f8, kSapphireRapids, kAvx512), kSapphireRapidsRows,
       "sapphirerapids"},
      {"Bulldozer", amd(0x00600f12, without(kAvxFlags, "f16c"), kAvx), kSse41Rows, "generic"},
      {"Zen 2", amd(0x00830f10, kHaswell, kAvx), kAvx2Rows, "znver2"},
      {"Zen 3", amd(0x00a00f11, kHaswell, kAvx), kAvx2Rows, "znver3"},
      {"Zen 4", amd(0x00a10f11, kZen4, kAvx512), kZen4Rows, "znver4"},
      {"Zen 5", amd(0x00b00f21, kZen4 + "avx_vnni avx512_vp2intersect", kAvx512), kZen4Rows, "znver5"},
      // sapphirerapids is Intel's alone and zen4 AMD's, whatever else a processor has
      {"AMD with all of Sapphire Rapids", amd(0x00b00f21, kSapphireRapids, kAmx), kZen4Rows, "znver5"},
      {"Intel with all of Zen 4", intel(0x000806f8, kZen4, kAvx512), kAvx512Rows, "icelake-server"},
      {"Hygon", x86("HygonGenuine", 0x00900f01, kHaswell, kAvx), kAvx2Rows, "haswell"},
      {"Zhaoxin, AVX2 without FMA", x86("CentaurHauls", 0x000006f0, kAvxFlags + "avx2", kAvx), kSse41Rows, "haswell"},
      // the system saves less than the processor has
      {"Skylake-X, zmm not saved", intel(0x00050654, kSkylakeX, kAvx), kAvx2Rows, "haswell"},
      {"Zen 4, zmm not saved", amd(0x00a10f11, kZen4, kAvx), kAvx2Rows, "znver3"},
      {"Zen 4, upper zmm not saved", amd(0x00a10f11, kZen4, 0x67), kAvx2Rows, "znver3"},
      {"Haswell, ymm not saved", intel(0x000306c3, kHaswell, kSse), kSse41Rows, "generic"},
      {"Haswell, no OSXSAVE", intel(0x000306c3, without(kHaswell, "osxsave"), 0), kSse41Rows, "generic"},
      // a hypervisor takes features away one by one
      {"Haswell, AVX2 masked", intel(0x000306c3, without(kHaswell, "avx2"), kAvx), kSse41Rows, "generic"},
      {"Haswell, FMA masked", intel(0x000306c3, without(kHaswell, "fma"), kAvx), kSse41Rows, "haswell"},
      {"Skylake-X, AVX2 masked", intel(0x00050654, without(kSkylakeX, "avx2"), kAvx512), kSse41Rows, "skylake-avx512"},
      {"Skylake-X, BW masked", intel(0x00050654, without(kSkylakeX, "avx512bw"), kAvx512), kAvx2Rows, "haswell"},
      {"Sapphire Rapids, FP16 masked", intel(0x000806f8, without(kSapphireRapids, "avx512_fp16"), kAmx), kAvx512Rows,
       "icelake-server"},
      {"Zen 4, BF16 masked", amd(0x00a10f11, kIceLake, kAvx512), kAvx512Rows, "znver3"},
      {"ARM whose system hides the vectors", arm({0}), kNone, "generic"},
      {"ARM with half precision in scalars alone", arm({0, 1, 9}), kNeonRows, "generic"},
      {"Cortex-A53", arm({0, 1, 2, 3, 4, 5, 6, 7, 11}), kNeonRows, "generic"},
      {"Neoverse N1", arm({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 20, 24, 28}), kHalfRows, "generic"},
      {"Neoverse V1", arm({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 20, 22, 24, 26, 28}), kHalfRows,
       "generic"},
  };
}

}  // namespace dispatch
