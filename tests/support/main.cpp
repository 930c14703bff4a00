// The main program of every GoogleTest here. A skip that expected_skips.def does not list is a failure, and so is a
// disabled test; a program in which nothing ran says so with an exit code of its own.
#include <fmt/format.h>
#include <fnmatch.h>
#include <gtest/gtest.h>

#include <string>

namespace {

constexpr int kSkipped = 77;  // what CMake's SKIP_RETURN_CODE is set to

struct MaySkip {
  const char *name, *reason;
};
constexpr MaySkip kExpected[] = {
#define LATHE_MAY_SKIP(name, reason) {name, reason},
#include "../expected_skips.def"
#undef LATHE_MAY_SKIP
};

bool matches(const char* pattern, const std::string& text) { return fnmatch(pattern, text.c_str(), 0) == 0; }

// Without a name the whole program is skipped; ctest knows under which.
bool expected(const std::string& name, const std::string& reason) {
  for (const MaySkip& may : kExpected)
    if ((name.empty() || matches(may.name, name)) && matches(may.reason, reason)) return true;
  return false;
}

void check_skips(const std::string& name, const testing::TestResult& result) {
  for (int i = 0; i < result.total_part_count(); ++i) {
    const testing::TestPartResult& part = result.GetTestPartResult(i);
    if (part.skipped() && !expected(name, part.summary()))
      ADD_FAILURE() << fmt::format("{} was skipped, which tests/expected_skips.def does not list, saying: {}",
                                   name.empty() ? "the whole program" : name, part.summary());
  }
}

class Skips : public testing::EmptyTestEventListener {
  void OnTestProgramStart(const testing::UnitTest& all) override {
    EXPECT_EQ(all.disabled_test_count(), 0) << "a test that is not run proves nothing: take it out or list its skip";
  }
  void OnEnvironmentsSetUpEnd(const testing::UnitTest& all) override { check_skips("", all.ad_hoc_test_result()); }
  void OnTestEnd(const testing::TestInfo& test) override {
    // after a failure of its environment GoogleTest skips every test, which says nothing new
    if (!testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed())
      check_skips(fmt::format("{}.{}", test.test_suite_name(), test.name()), *test.result());
  }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest& all = *testing::UnitTest::GetInstance();
  all.listeners().Append(new Skips);
  const int failed = RUN_ALL_TESTS();
  return failed == 0 && all.ad_hoc_test_result().Skipped() ? kSkipped : failed;
}
