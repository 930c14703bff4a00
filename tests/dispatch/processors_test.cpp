// Features in, kernel name out: what real processors say is put in, whatever this machine is.
#include "processors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "registry.h"
#include "rows.h"
#include "status.h"

namespace {

using dispatch::Known;

bool runs(const Known& known, const std::string& row) {
  return std::find(known.rows.begin(), known.rows.end(), row) != known.rows.end();
}

// The row, or the refusal.
std::string choice(const Known& known, const char* pin, const std::vector<const char*>& built) {
  try {
    return lathe::choose_row(known.processor, pin, built).row;
  } catch (const lathe::Error& error) {
    EXPECT_EQ(error.status(), LATHE_UNSUPPORTED);
    return error.what();
  }
}

class Processors : public testing::TestWithParam<Known> {};

TEST_P(Processors, RunTheseRowsAndNoOther) {
  for (const char* row : lathe::row_names())
    EXPECT_EQ(lathe::row_runs(GetParam().processor, row), runs(GetParam(), row))
        << row << " lacks " << lathe::missing_feature(GetParam().processor, row);
}

TEST_P(Processors, AreKnownToRecordsAs) { EXPECT_STREQ(lathe::uarch(GetParam().processor), GetParam().uarch); }

TEST_P(Processors, TakeTheBestRowOfALibraryThatHasAll) {
  const std::string chosen = choice(GetParam(), nullptr, lathe::row_names());
  if (!GetParam().rows.empty()) {
    EXPECT_EQ(chosen, GetParam().rows.front());
    return;
  }
  EXPECT_NE(chosen.find("no row of this library runs on this processor"), std::string::npos) << chosen;
  for (const char* row : lathe::row_names())
    EXPECT_NE(chosen.find(std::string(row) + " needs "), std::string::npos) << chosen;
}

// Of this library, which holds some of the rows: the row and the kernels by name.
TEST_P(Processors, TakeTheseKernelsOfThisLibrary) {
  const std::vector<const char*> built = lathe::built_rows();
  const auto best = std::find_if(GetParam().rows.begin(), GetParam().rows.end(), [&](const std::string& row) {
    return std::find(built.begin(), built.end(), row) != built.end();
  });
  const std::string chosen = choice(GetParam(), nullptr, built);
  if (best == GetParam().rows.end()) {
    EXPECT_NE(chosen.find("no row of this library"), std::string::npos) << chosen;
    return;
  }
  ASSERT_EQ(chosen, *best);
  for (const auto& [kernel, axis, symbol] : {std::tuple{"causal", "plain", "lathe_causal_plain_"},
                                             {"decode", "", "lathe_decode_"},
                                             {"widen", "bf16", "lathe_widen_bf16_"}}) {
    const lathe::Entry* found = lathe::find_kernel(chosen, kernel, axis);
    ASSERT_NE(found, nullptr) << kernel;
    EXPECT_EQ(found->symbol, symbol + chosen);
  }
}

TEST_P(Processors, ObeyAPinOnlyToWhatTheyRun) {
  for (const char* row : lathe::row_names()) {
    const std::string chosen = choice(GetParam(), row, lathe::row_names());
    if (runs(GetParam(), row))
      EXPECT_EQ(chosen, row);
    else
      EXPECT_EQ(chosen, std::string("LATHE_TARGET=") + row + ": this processor lacks " +
                            lathe::missing_feature(GetParam().processor, row));
  }
}

TEST_P(Processors, RefuseAPinToWhatIsNotBuilt) {
  for (const std::string& row : GetParam().rows)
    EXPECT_EQ(choice(GetParam(), row.c_str(), {}), "LATHE_TARGET=" + row + ": not built into this library");
}

INSTANTIATE_TEST_SUITE_P(Known, Processors, testing::ValuesIn(dispatch::processors()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
