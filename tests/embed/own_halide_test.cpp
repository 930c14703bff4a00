// A program with a Halide of its own, and with names that lathe has inside, links beside lathe, and neither notices the
// other.
#include <HalideRuntime.h>
#include <gtest/gtest.h>
#include <lathe.h>

#include <cstdlib>
#include <string>
#include <vector>

extern "C" int OWN_KERNEL(halide_buffer_t* x, halide_buffer_t* y);

// A name of lathe's runtime, as another library may have it too.
namespace lathe {
int allowed_processors();
int allowed_processors() { return 777; }
}  // namespace lathe

namespace {

std::vector<std::string> errors;
int allocations = 0;

void take_error(void*, const char* text) { errors.emplace_back(text); }
void* counted_malloc(void*, size_t bytes) {
  allocations++;
  return std::malloc(bytes);
}

constexpr size_t kNumbers = 32 * 4;

class OwnHalide : public testing::Test {
 protected:
  void SetUp() override {
    errors.clear();
    allocations = 0;
    halide_set_error_handler(take_error);
    halide_set_custom_malloc(counted_malloc);
  }

  // bfloat16 ones, `rows` of them told of the four there are, made float32.
  int widen(int rows) {
    halide_dimension_t from[] = {{0, 32, 1}, {0, rows, 32}}, to[] = {{0, 32, 1}, {0, 4, 32}};
    halide_buffer_t x{}, y{};
    x.host = reinterpret_cast<uint8_t*>(ones_.data());
    x.type = halide_type_t(halide_type_uint, 16);
    x.dim = from;
    y.host = reinterpret_cast<uint8_t*>(widened_.data());
    y.type = halide_type_t(halide_type_float, 32);
    y.dim = to;
    x.dimensions = y.dimensions = 2;
    return OWN_KERNEL(&x, &y);
  }

  std::vector<uint16_t> ones_ = std::vector<uint16_t>(kNumbers, 0x3f80);
  std::vector<float> widened_ = std::vector<float>(kNumbers, 0.f);
};

void expect_lathe_is_right() {
  lathe_context* context = nullptr;
  ASSERT_EQ(lathe_context_create(nullptr, &context), LATHE_OK);
  EXPECT_EQ(lathe_self_test(context, nullptr, 0, nullptr), LATHE_OK) << lathe_last_error(context);
  lathe_context_destroy(context);
}

TEST_F(OwnHalide, RunsBesideLathe) {
  EXPECT_EQ(widen(4), 0);
  expect_lathe_is_right();
  EXPECT_EQ(widen(4), 0);
  EXPECT_EQ(widened_, std::vector<float>(kNumbers, 1.f));
  EXPECT_TRUE(errors.empty()) << errors[0];
}

TEST_F(OwnHalide, KeepsItsErrorHandler) {
  expect_lathe_is_right();
  EXPECT_NE(widen(3), 0);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].find("beyond the max"), std::string::npos) << errors[0];
}

TEST_F(OwnHalide, HearsNothingOfLathes) {
  lathe_plan* plan = nullptr;
  lathe_context* context = nullptr;
  ASSERT_EQ(lathe_context_create(nullptr, &context), LATHE_OK);
  EXPECT_EQ(lathe_plan_create(context, nullptr, nullptr, 0, &plan), LATHE_INVALID);
  expect_lathe_is_right();
  lathe_context_destroy(context);
  EXPECT_TRUE(errors.empty()) << errors[0];
  EXPECT_EQ(allocations, 0);
}

TEST(OwnNames, StandBesideLathes) {
  EXPECT_EQ(lathe::allowed_processors(), 777);
  int64_t shape[] = {1, 4, 1, 16};
  lathe_tensor tensor{};
  tensor.device_type = 1;
  tensor.ndim = 4;
  tensor.code = 2;
  tensor.bits = 32;
  tensor.lanes = 1;
  tensor.shape = shape;
  const lathe_arg args[] = {{LATHE_Q, &tensor}, {LATHE_K, &tensor}, {LATHE_V, &tensor}, {LATHE_O, &tensor}};
  lathe_desc desc{};
  desc.size = sizeof desc;
  desc.op = "causal";
  lathe_context* context = nullptr;
  lathe_plan* plan = nullptr;
  ASSERT_EQ(lathe_context_create(nullptr, &context), LATHE_OK);
  ASSERT_EQ(lathe_plan_create(context, &desc, args, 4, &plan), LATHE_OK) << lathe_last_error(context);
  std::string text(1 << 14, '\0');
  lathe_describe(plan, text.data(), text.size(), nullptr);
  EXPECT_NE(text.find("\"threads\""), std::string::npos);
  EXPECT_EQ(text.find("\"threads\": 777"), std::string::npos) << text;
  lathe_plan_destroy(plan);
  lathe_context_destroy(context);
}

}  // namespace
