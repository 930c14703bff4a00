// The choice of a row and of its kernels, by name, seen from inside the runtime.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "processor.h"
#include "registry.h"
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

TEST(Rows, StandInOrderOfPreference) {
  const std::vector<std::string> expected{"sapphirerapids", "zen4", "avx512", "avx2", "sse41", "neon"};
  EXPECT_EQ(std::vector<std::string>(lathe::row_names().begin(), lathe::row_names().end()), expected);
}

// What a better x86 row needs includes what a lesser one does: where it runs, so do those below it.
TEST(Rows, RunWhereABetterOneDoes) {
  const std::map<std::string, std::string> falls_back{
      {"sapphirerapids", "avx512"}, {"zen4", "avx512"}, {"avx512", "avx2"}, {"avx2", "sse41"}};
  for (const auto& [row, lesser] : falls_back)
    EXPECT_TRUE(!lathe::row_runs(row.c_str()) || lathe::row_runs(lesser.c_str())) << row << ", " << lesser;
}

TEST(Rows, OfAnotherArchitectureSayWhatIsMissing) {
#if defined(__x86_64__)
  EXPECT_STREQ(lathe::missing_feature("neon"), "arm");
#else
  EXPECT_STREQ(lathe::missing_feature("sse41"), "x86");
#endif
}

TEST(Choice, IsTheFirstRowThatIsBuiltAndRuns) {
  const Pin pin(nullptr);
  std::string expected;
  for (const char* row : lathe::row_names())
    if (expected.empty() && built_rows().contains(row) && lathe::row_runs(row)) expected = row;
  const lathe::ChosenRow chosen = lathe::choose_row();
  EXPECT_EQ(chosen.row, expected);
  EXPECT_STREQ(chosen.reason, "best row that this processor runs");
}

TEST(Choice, FollowsAPin) {
  for (const std::string& row : built_rows()) {
    if (!lathe::row_runs(row.c_str())) continue;
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
    if (!lathe::row_runs(row) || !built_rows().contains(row)) {
      const std::string text = refusal(row);
      EXPECT_NE(text.find(std::string("LATHE_TARGET=") + row), std::string::npos) << text;
      EXPECT_NE(text.find(lathe::row_runs(row) ? "not built" : lathe::missing_feature(row)), std::string::npos) << text;
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

TEST(Registry, HoldsTheSameKernelsForEveryRow) {
  std::map<std::string, std::set<std::string>> kernels;
  for (const lathe::Entry& entry : lathe::registry())
    kernels[entry.row].insert(std::string(entry.kernel) + " " + entry.axis);
  for (const auto& [row, names] : kernels) EXPECT_EQ(names, kernels.begin()->second) << row;
}

}  // namespace
