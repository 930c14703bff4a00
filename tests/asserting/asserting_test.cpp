// Makes any complaint of an asserting kernel fail the test that was running, and shows that complaints arrive.
#include <gtest/gtest.h>

#include <vector>

#include "asserting/halide_errors.h"
#include "halide_call.h"

namespace {

class NoComplaints : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo&) override {
    for (const auto& complaint : support::take_halide_errors()) ADD_FAILURE() << "inside a kernel: " << complaint;
  }
};

// In front of the printer, which must hear of the failures: listeners are told of an end in reverse order.
[[maybe_unused]] const bool listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new NoComplaints);
  return true;
}();

const lathe::Entry& widen() {
  const std::string_view row = lathe::registry()[0].row;
  return *lathe::find_kernel(row, "widen", "bf16");
}

TEST(Asserting, AnExactBufferPasses) {
  std::vector<uint16_t> from(32 * 4, 0x3f80);
  std::vector<float> to(32 * 4, 0.f);
  lathe::Buffer x(from.data(), lathe::Storage::kBF16, 32, 4, 32), y(to.data(), 32, 4, 32);
  lathe::call(widen(), x, y);
  EXPECT_TRUE(support::take_halide_errors().empty());
  EXPECT_EQ(to, std::vector<float>(32 * 4, 1.f));
}

TEST(Asserting, AShortBufferIsNoticed) {
  std::vector<uint16_t> from(32 * 4, 0x3f80);
  std::vector<float> to(32 * 4, 0.f);
  lathe::Buffer x(from.data(), lathe::Storage::kBF16, 32, 3, 32), y(to.data(), 32, 4, 32);
  lathe::call(widen(), x, y);
  const auto complaints = support::take_halide_errors();
  ASSERT_FALSE(complaints.empty());
  EXPECT_NE(complaints[0].find("out of bounds"), std::string::npos) << complaints[0];
}

}  // namespace
