#include "row.h"

#include <gtest/gtest.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include "support/call.h"

namespace support {
namespace {

struct Target {
  const char *row, *halide;
};
constexpr Target targets[] = {
#define LATHE_TARGET(name, halide, family, fallback) {#name, halide},
#include "../../schedules/targets.def"
#undef LATHE_TARGET
};

// The words of the lines of /proc/cpuinfo that begin so.
std::set<std::string> cpuinfo(std::string_view key) {
  std::set<std::string> words;
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(line.find(':') + 1));
    for (std::string word; rest >> word;) words.insert(word);
  }
  return words;
}

// What the system must say it has for one word of a target.
bool has(const std::string& word) {
  static const std::map<std::string, std::vector<std::string>> needs = {
      {"sse41", {"sse4_1"}},
      {"avx", {"avx"}},
      {"f16c", {"f16c"}},
      {"fma", {"fma"}},
      {"avx2", {"avx2"}},
      {"avx512", {"avx512f", "avx512cd"}},
      {"avx512_skylake", {"avx512bw", "avx512dq", "avx512vl"}},
      {"avx512_cannonlake", {"avx512ifma", "avx512vbmi"}},
      {"avx512_zen4", {"avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_vpopcntdq", "avx512_bf16"}},
      {"avx512_sapphirerapids", {"avx512_fp16", "avx_vnni"}}};
#if defined(__aarch64__)
  // an emulator hands through the /proc/cpuinfo of what it runs on
  if (word == "arm_fp16") return (~getauxval(AT_HWCAP) & (HWCAP_FPHP | HWCAP_ASIMDHP)) == 0;
  constexpr std::string_view architecture = "arm";
#else
  constexpr std::string_view architecture = "x86";
#endif
  if (word == architecture || word == "64" || word == "linux") return true;
  static const std::set<std::string> flags = cpuinfo("flags");
  const auto found = needs.find(word);
  return found != needs.end() && std::all_of(found->second.begin(), found->second.end(),
                                             [](const std::string& flag) { return flags.contains(flag); });
}

bool runs(const std::string& halide) {
  std::istringstream words(halide);
  for (std::string word; std::getline(words, word, '-');)
    if (!has(word)) return false;
  // what Halide makes for the newest rows may use instructions that only one maker has
  const auto made_by = [vendor = cpuinfo("vendor_id")](const char* name) { return vendor.contains(name); };
  if (halide.ends_with("avx512_zen4")) return made_by("AuthenticAMD");
  return !halide.ends_with("avx512_sapphirerapids") || made_by("GenuineIntel");
}

// A whole run under a row that this machine lacks is skipped, with the library's reason; any other refusal is red.
class PinnedRow : public testing::Environment {
  void SetUp() override {
    const std::string row = pinned_row();
    if (row.empty()) return;
    const Problem problem = [] {
      Problem p;
      p.q = p.k = p.v = {0, 0, 0, 0};
      return p;
    }();
    lathe_context* context = nullptr;
    lathe_status status = lathe_context_create(nullptr, &context);
    if (status == LATHE_OK) {
      const Arguments arguments("causal", problem);
      const auto args = arguments.list();
      lathe_plan* plan = nullptr;
      status = lathe_plan_create(context, &arguments.desc, args.data(), args.size(), &plan);
      lathe_plan_destroy(plan);
    }
    const std::string reason = lathe_last_error(context);
    lathe_context_destroy(context);
    if (status == LATHE_UNSUPPORTED && row_on_this_machine(row) == Row::CannotRun)
      GTEST_SKIP() << "LATHE_TARGET=" << row << ": " << reason;
    ASSERT_EQ(status, LATHE_OK) << "LATHE_TARGET=" << row << ": " << reason;
  }
};

[[maybe_unused]] const auto* const pinned = testing::AddGlobalTestEnvironment(new PinnedRow);

}  // namespace

Row row_on_this_machine(const std::string& name) {
  for (const Target& target : targets)
    if (target.row == name) return runs(target.halide) ? Row::Runs : Row::CannotRun;
  return Row::Unknown;
}

std::string pinned_row() {
  const char* row = std::getenv("LATHE_TARGET");
  return row == nullptr ? "" : row;
}

}  // namespace support
