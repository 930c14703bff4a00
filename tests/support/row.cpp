#include "row.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "support/call.h"

namespace support {
namespace {

std::map<std::string, bool> rows() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool skylake = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512cd");
  const bool with_bf16 = skylake && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi2");
  return {{"sse41", __builtin_cpu_supports("sse4.1") != 0},
          {"avx2", avx2},
          {"avx512", skylake},
          {"zen4", with_bf16 && __builtin_cpu_is("amd") != 0},
          {"sapphirerapids", with_bf16 && __builtin_cpu_is("intel") != 0}};
#else
  return {};
#endif
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
  const auto known = rows();
  const auto found = known.find(name);
  return found == known.end() ? Row::Unknown : found->second ? Row::Runs : Row::CannotRun;
}

std::string pinned_row() {
  const char* row = std::getenv("LATHE_TARGET");
  return row == nullptr ? "" : row;
}

}  // namespace support
