// Plans that serve many calls, and what a caller may bring: workspace, memory, its own sizes of structures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem problem_of(int64_t B, int64_t T, uint64_t seed) {
  Problem p;
  p.map = "elu1";
  p.B = B;
  p.HQ = p.HK = p.HV = 2;
  p.T = T;
  p.D = 20;
  p.V = 28;
  p.normalise = true;
  p.eps = 1e-6;
  return reals(p, Type::F32, seed, true);
}

TEST(Plans, RunAgainWithOtherData) {
  const Arguments first("causal", problem_of(2, 70, 101));
  const Context context(1);
  const Plan plan(context, first);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  for (const uint64_t seed : {102, 103}) {
    const Problem p = problem_of(2, 70, seed);
    const Arguments arguments("causal", p);
    ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
    expect_same(arguments.outputs(), call("causal", p), "a second run");
  }
}

class FreeExtents : public testing::TestWithParam<const char*> {};

TEST_P(FreeExtents, OnePlanForEveryLength) {
  const Context context(1);
  const Arguments first(GetParam(), problem_of(1, 1, 104));
  const Plan plan(context, first, true);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  for (const auto& [B, T] : {std::pair<int64_t, int64_t>{1, 1}, {3, 65}, {2, 0}, {1, 300}})
    for (const Layout layout : {Layout::Bthd, Layout::Bhtd}) {
      const Problem p = problem_of(B, T, 105);
      Options options;
      options.layout = layout;
      const Arguments arguments(GetParam(), p, options);
      ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
      expect_same(arguments.outputs(), call(GetParam(), p, options), "free extents");
    }
}

INSTANTIATE_TEST_SUITE_P(Ops, FreeExtents, testing::Values("causal", "noncausal", "accumulate", "readout", "decode"),
                         [](const auto& test) { return test.param; });

TEST(Plans, RefuseOtherShapes) {
  const Context context(1);
  const Arguments planned("causal", problem_of(2, 70, 106)), other("causal", problem_of(2, 71, 106));
  const Plan plan(context, planned);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  EXPECT_EQ(run(context, plan, other), LATHE_INVALID);
  EXPECT_NE(context.error().find("71"), std::string::npos) << context.error();
}

class Workspace : public testing::Test {
 protected:
  Problem problem = problem_of(2, 130, 107);
  Arguments arguments{"causal", problem};
  Context context{1};
  Plan plan{context, arguments};
  size_t bytes = 0;
  lathe_exec exec{};

  void SetUp() override {
    ASSERT_EQ(plan.status, LATHE_OK) << context.error();
    const auto args = arguments.list();
    ASSERT_EQ(lathe_plan_workspace(plan.get(), args.data(), args.size(), &bytes), LATHE_OK);
    exec.size = sizeof exec;
  }
};

// Rounding up keeps the start aligned while the end lies against a forbidden page.
TEST_F(Workspace, OfTheCallerIsEnough) {
  const size_t rounded_up = (bytes + 63) / 64 * 64;
  Guarded memory(rounded_up, Edge::Last);
  exec.workspace = memory.data();
  exec.workspace_bytes = rounded_up;
  ASSERT_EQ(run(context, plan, arguments, &exec), LATHE_OK) << context.error();
  expect_same(arguments.outputs(), call("causal", problem), "with the caller's workspace");
  EXPECT_TRUE(memory.slack_intact());
}

TEST_F(Workspace, DoesNotGrowWithTokens) {
  const Arguments longer("causal", problem_of(2, 1300, 107));
  const Plan longer_plan(context, longer);
  ASSERT_EQ(longer_plan.status, LATHE_OK) << context.error();
  size_t longer_bytes = 0;
  const auto args = longer.list();
  ASSERT_EQ(lathe_plan_workspace(longer_plan.get(), args.data(), args.size(), &longer_bytes), LATHE_OK);
  EXPECT_EQ(longer_bytes, bytes);
}

// Memory of the caller's, counted.
struct Heap {
  long blocks = 0, served = 0;

  static void* alloc(void* user, size_t bytes, size_t alignment) {
    auto& heap = *static_cast<Heap*>(user);
    ++heap.blocks;
    ++heap.served;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  static void dealloc(void* user, void* pointer, size_t) {
    --static_cast<Heap*>(user)->blocks;
    std::free(pointer);
  }
};

lathe_config config_of(Heap& heap) {
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 1;
  config.user = &heap;
  config.alloc = Heap::alloc;
  config.dealloc = Heap::dealloc;
  return config;
}

TEST(Memory, OfTheCallerIsUsedAndGivenBack) {
  Heap heap;
  {
    const Context context(config_of(heap));
    const Arguments arguments("causal", problem_of(1, 70, 108));
    const Plan plan(context, arguments);
    ASSERT_EQ(plan.status, LATHE_OK) << context.error();
    ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
    const long served = heap.served;
    EXPECT_GT(served, 0);
    ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
    EXPECT_EQ(heap.served, served) << "a second run allocates";
  }
  EXPECT_EQ(heap.blocks, 0);
}

TEST(Contexts, AndNull) {
  lathe_context* context = nullptr;
  EXPECT_EQ(lathe_context_create(nullptr, nullptr), LATHE_INVALID);
  EXPECT_EQ(lathe_context_create(nullptr, &context), LATHE_OK);
  EXPECT_NE(lathe_last_error(context), nullptr);
  lathe_context_destroy(context);
  lathe_context_destroy(nullptr);
  lathe_plan_destroy(nullptr);
}

// A caller built against a later header brings a longer structure; what it adds is left at zero.
TEST(Structures, MayBeLonger) {
  const Problem p = problem_of(1, 20, 110);
  const Arguments arguments("causal", p);
  struct Longer {
    lathe_desc desc;
    uint64_t later;
  } longer{arguments.desc, 0};
  longer.desc.size = sizeof longer;
  const auto args = arguments.list();
  lathe_plan* plan = nullptr;
  const Context& context = shared_context(1);
  EXPECT_EQ(lathe_plan_create(context.get(), &longer.desc, args.data(), args.size(), &plan), LATHE_OK)
      << context.error();
  lathe_plan_destroy(plan);
}

TEST(ArgumentList, GivenTwiceAreRefused) {
  const Arguments arguments("causal", problem_of(1, 20, 111));
  auto args = arguments.list();
  args.push_back(args.front());
  lathe_plan* plan = nullptr;
  const Context context(1);
  EXPECT_EQ(lathe_plan_create(context.get(), &arguments.desc, args.data(), args.size(), &plan), LATHE_INVALID);
  EXPECT_NE(context.error().find("Q"), std::string::npos) << context.error();
  EXPECT_EQ(plan, nullptr);
}

TEST(ArgumentList, MayHaveByteOffsetsAndNoStrides) {
  const Problem p = problem_of(1, 20, 112);
  const Arguments arguments("causal", p);
  for (const uint32_t role : {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}) {
    lathe_tensor& view = arguments.tensors.at(role)->view;
    view.strides = nullptr;
    view.data = static_cast<char*>(view.data) - 64;
    view.byte_offset = 64;
  }
  const Context context(1);
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  expect_same(arguments.outputs(), call("causal", p), "compact, with an offset");
}

// Scratch belongs to a chunk and to the heads walked together: a million tokens need what a thousand need.
TEST(Scratch, IsConstantInTokens) {
  const Context context(1);
  alignas(64) float storage[64] = {};
  const auto bytes_for = [&](int64_t T) {
    int64_t shape[4] = {1, T, 8, 64};
    lathe_tensor tensor{};
    tensor.data = storage;
    tensor.device_type = 1;
    tensor.ndim = 4;
    tensor.code = 2;
    tensor.bits = 32;
    tensor.lanes = 1;
    tensor.shape = shape;
    lathe_tensor output = tensor;
    output.byte_offset = uint64_t{1} << 40;  // only addresses are compared: nothing is read
    const lathe_arg args[] = {{LATHE_Q, &tensor}, {LATHE_K, &tensor}, {LATHE_V, &tensor}, {LATHE_O, &output}};
    lathe_desc desc{};
    desc.size = sizeof desc;
    desc.op = "causal";
    desc.map = "elu1";
    desc.scale = 1;
    desc.eps = 1e-6F;
    desc.flags = LATHE_NORMALISE;
    lathe_plan* plan = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(lathe_plan_create(context.get(), &desc, args, 4, &plan), LATHE_OK) << context.error();
    EXPECT_EQ(lathe_plan_workspace(plan, args, 4, &bytes), LATHE_OK) << lathe_last_error(nullptr);
    lathe_plan_destroy(plan);
    return bytes;
  };
  EXPECT_EQ(bytes_for(1 << 10), bytes_for(1 << 20));
  EXPECT_GT(bytes_for(1 << 20), 0U);
}

}  // namespace
