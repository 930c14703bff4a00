// Past 2^31 elements and past 4 GiB: kernels count in 32 bits, so the runtime must never hand them such a distance.
#include "sparse.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

// Past 2^31 and past 2^32 elements, and not at a multiple of either.
constexpr int64_t far = (int64_t{1} << 32) + 80;

enum class Along { Tokens, TokensBackwards, Batch, Heads, StateRows };

Extents spread(Along along, uint32_t role, const Extents& strides) {
  const bool tokens = role == LATHE_Q || role == LATHE_K || role == LATHE_V || role == LATHE_O;
  const bool states = role == LATHE_STATE_IN || role == LATHE_STATE_OUT || role == LATHE_Z_IN || role == LATHE_Z_OUT;
  Extents far_strides = strides;
  if (along == Along::Tokens && tokens) far_strides[1] = far;
  if (along == Along::TokensBackwards && tokens) far_strides[1] = -far;
  if (along == Along::Batch && tokens) far_strides[0] = far;
  if (along == Along::Heads && tokens) far_strides[2] = far;
  if (along == Along::Heads && states) far_strides[1] = far;
  if (along == Along::StateRows && states) far_strides[0] = far;
  return far_strides;
}

class FarApart : public testing::TestWithParam<std::tuple<std::string, Type, Along>> {};

TEST_P(FarApart, IsTheDenseAnswer) {
  const auto& [op, type, along] = GetParam();
  Problem p = normalised(op, 2, 70, 32, 32);
  p.state_rows = 3;
  p.slots = {2, 0};
  p = reals(p, type, 221, true);
  Options options;
  options.type = type;
  const Arguments dense(op, p, options);
  std::map<uint32_t, std::unique_ptr<Sparse>> sparse;
  std::vector<lathe_arg> args;
  try {
    for (const auto& [role, tensor] : dense.tensors) {
      sparse[role] = std::make_unique<Sparse>(*tensor, spread(along, role, tensor->strides));
      args.push_back({role, &sparse[role]->view});
    }
  } catch (const std::bad_alloc&) {
    GTEST_SKIP() << "the system promises no more memory than it has";
  }
  const Context& context = shared_context(1);
  lathe_plan* plan = nullptr;
  ASSERT_EQ(lathe_plan_create(context.get(), &dense.desc, args.data(), args.size(), &plan), LATHE_OK)
      << context.error();
  EXPECT_EQ(lathe_run(context.get(), plan, args.data(), args.size(), nullptr), LATHE_OK) << context.error();
  lathe_plan_destroy(plan);
  for (const auto& [role, tensor] : dense.tensors) sparse[role]->copy_to(*tensor);
  expect_same(dense.outputs(), call(op, p, options), "far apart");
}

std::string printed(const testing::TestParamInfo<std::tuple<std::string, Type, Along>>& test) {
  static const char* const names[] = {"tokens", "backwards", "batch", "heads", "states"};
  const auto& [op, type, along] = test.param;
  return fmt::format("{}_{}_{}", op, name_of(type), names[static_cast<size_t>(along)]);
}

INSTANTIATE_TEST_SUITE_P(Ops, FarApart,
                         testing::Combine(testing::ValuesIn(operators()), testing::Values(Type::F32, Type::BF16),
                                          testing::Values(Along::Tokens, Along::TokensBackwards, Along::Batch,
                                                          Along::Heads, Along::StateRows)),
                         printed);

// More tokens than 2^31, nearly all of them zero pages; those that are not stand where a 32-bit count turns round.
TEST(Tokens, MoreThanThirtyTwoBitsCount) {
  const int64_t T = (int64_t{1} << 31) + 70;
  const auto bytes = static_cast<size_t>(T) * sizeof(uint16_t);
  auto *k = static_cast<uint16_t*>(promised_memory(bytes)), *v = static_cast<uint16_t*>(promised_memory(bytes));
  if (k == nullptr || v == nullptr) GTEST_SKIP() << "the system promises no more memory than it has";
  constexpr uint16_t one = 0x3F80;  // of bfloat16
  for (const int64_t t : {int64_t{0}, T / 2, (int64_t{1} << 31) - 1, int64_t{1} << 31, T - 1}) k[t] = v[t] = one;
  int64_t tokens[] = {1, T, 1, 1}, state[] = {1, 1, 1, 1};
  float sum = 0;
  const lathe_tensor tk{k, 1, 0, 4, 4, 16, 1, tokens, nullptr, 0}, tv{v, 1, 0, 4, 4, 16, 1, tokens, nullptr, 0},
      ts{&sum, 1, 0, 4, 2, 32, 1, state, nullptr, 0};
  const lathe_arg args[] = {{LATHE_K, &tk}, {LATHE_V, &tv}, {LATHE_STATE_OUT, &ts}};
  lathe_desc desc{};
  desc.size = sizeof desc;
  desc.op = "accumulate";
  const Context& context = shared_context(1);
  lathe_plan* plan = nullptr;
  ASSERT_EQ(lathe_plan_create(context.get(), &desc, args, 3, &plan), LATHE_OK) << context.error();
  EXPECT_EQ(lathe_run(context.get(), plan, args, 3, nullptr), LATHE_OK) << context.error();
  EXPECT_EQ(sum, 5);
  lathe_plan_destroy(plan);
}

}  // namespace
