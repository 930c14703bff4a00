// The choice of a row and of its kernels, by name, seen from inside the runtime.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registry.h"
#include "rows.h"
#include "status.h"

namespace {

// LATHE_TARGET for the length of a test.
class Pin {
 public:
  explicit Pin(const char* row) {
    if (const char* before = std::getenv("LATHE_TARGET")) before_ = before;
    if (row)
      setenv("LATHE_TARGET", row, 1);
    else
      unsetenv("LATHE_TARGET");
  }
  ~Pin() {
    if (before_)
      setenv("LATHE_TARGET", before_->c_str(), 1);
    else
      unsetenv("LATHE_TARGET");
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  std::optional<std::string> before_;
};

std::set<std::string> built_rows() {
  std::set<std::string> rows;
  for (const lathe::Entry& entry : lathe::registry()) rows.insert(entry.row);
  return rows;
}

std::string refusal(const char* row) {
  const Pin pin(row);
  try {
    return std::string("chose ") + lathe::choose_row().row;
  } catch (const lathe::Error& error) {
    EXPECT_EQ(error.status(), LATHE_UNSUPPORTED);
    return error.what();
  }
}

struct Fallback {
  const char *row, *lesser;
};
constexpr Fallback kFallbacks[] = {
#define LATHE_TARGET(name, halide, family, fallback) {#name, #fallback},
#include "../schedules/targets.def"
#undef LATHE_TARGET
};

// What a better row needs includes what the one it falls back to does: it is asked first, and where it runs so does the
// other.
TEST(Rows, StandBeforeWhatTheyFallBackTo) {
  const std::vector<const char*>& names = lathe::row_names();
  const auto place = [&](std::string_view row) { return std::find(names.begin(), names.end(), row); };
  for (const auto& [row, lesser] : kFallbacks) {
    if (std::string_view(lesser) == "none") continue;
    ASSERT_NE(place(lesser), names.end()) << lesser;
    EXPECT_LT(place(row), place(lesser)) << row;
    EXPECT_TRUE(!lathe::row_runs(lathe::this_processor(), row) || lathe::row_runs(lathe::this_processor(), lesser))
        << row << ", " << lesser;
  }
}

TEST(Rows, OfAnotherArchitectureSayWhatIsMissing) {
#if defined(__x86_64__)
  EXPECT_EQ(lathe::missing_feature(lathe::this_processor(), "neon"), "arm");
#else
  EXPECT_EQ(lathe::missing_feature(lathe::this_processor(), "sse41"), "x86");
#endif
}

TEST(Rows, AreBuiltInTheOrderOfPreference) {
  std::vector<std::string> expected;
  for (const char* row : lathe::row_names())
    if (built_rows().contains(row)) expected.push_back(row);
  const auto built = lathe::built_rows();
  EXPECT_EQ(std::vector<std::string>(built.begin(), built.end()), expected);
}

TEST(Choice, IsTheFirstRowThatIsBuiltAndRuns) {
  const Pin pin(nullptr);
  std::string expected;
  for (const char* row : lathe::row_names())
    if (expected.empty() && built_rows().contains(row) && lathe::row_runs(lathe::this_processor(), row)) expected = row;
  const lathe::ChosenRow chosen = lathe::choose_row();
  EXPECT_EQ(chosen.row, expected);
  EXPECT_STREQ(chosen.reason, "best row that this processor runs");
}

TEST(Choice, FollowsAPin) {
  for (const std::string& row : built_rows()) {
    if (!lathe::row_runs(lathe::this_processor(), row.c_str())) continue;
    const Pin pin(row.c_str());
    const lathe::ChosenRow chosen = lathe::choose_row();
    EXPECT_EQ(chosen.row, row);
    EXPECT_STREQ(chosen.reason, "pinned by LATHE_TARGET");
  }
}

TEST(Choice, TreatsAnEmptyPinAsNone) {
  const Pin none(nullptr);
  const std::string best = lathe::choose_row().row;
  const Pin empty("");
  EXPECT_EQ(lathe::choose_row().row, best);
}

TEST(Choice, RefusesWhatItCannotPinByName) {
  EXPECT_NE(refusal("avx1024").find("LATHE_TARGET=avx1024"), std::string::npos) << refusal("avx1024");
  EXPECT_NE(refusal("AVX2").find("LATHE_TARGET=AVX2"), std::string::npos) << refusal("AVX2");
  for (const char* row : lathe::row_names())
    if (!lathe::row_runs(lathe::this_processor(), row) || !built_rows().contains(row)) {
      const std::string text = refusal(row);
      EXPECT_NE(text.find(std::string("LATHE_TARGET=") + row), std::string::npos) << text;
      EXPECT_NE(text.find(lathe::row_runs(lathe::this_processor(), row)
                              ? "not built"
                              : lathe::missing_feature(lathe::this_processor(), row)),
                std::string::npos)
          << text;
    }
}

TEST(Registry, FindsEveryKernelByItsName) {
  std::set<std::string> symbols;
  for (const lathe::Entry& entry : lathe::registry()) {
    EXPECT_TRUE(symbols.insert(entry.symbol).second) << entry.symbol << " is there twice";
    EXPECT_EQ(lathe::find_kernel(entry.row, entry.kernel, entry.axis), &entry) << entry.symbol;
    const std::string axis = *entry.axis ? std::string("_") + entry.axis : "";
    EXPECT_EQ(entry.symbol, std::string("lathe_") + entry.kernel + axis + "_" + entry.row);
  }
  EXPECT_EQ(lathe::find_kernel("avx1024", "causal", "plain"), nullptr);
}

// OpenCL's row has no float16 of its own, as CUDA's have.
TEST(Registry, HoldsTheSameKernelsForEveryRowOfAKind) {
  std::map<std::pair<bool, bool>, std::map<std::string, std::set<std::string>>> kinds;
  for (const lathe::Entry& entry : lathe::registry())
    kinds[{lathe::has_word(entry.row, "cuda"), lathe::has_word(entry.row, "opencl")}][entry.row].insert(
        std::string(entry.kernel) + " " + entry.axis);
  for (const auto& [kind, kernels] : kinds)
    for (const auto& [row, names] : kernels) EXPECT_EQ(names, kernels.begin()->second) << row;
}

}  // namespace
