// Memory and threads refused at every single request: an error or fewer workers, nothing lost, and the same context
// then gives the right answer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "refusing.h"
#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

struct Case {
  const char* name;
  std::string op;
  Problem problem;
  Options options;
};

// Every operator in place on three threads; with projections, slots and free extents; and two heads on
// three threads.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& op : operators()) {
    Problem p = normalised(op, 2, 70, 20, 16);
    Options options;
    options.threads = 3;
    options.in_place = op != "readout";
    all.push_back({"plain", op, reals(p, Type::F32, 201, true), options});
    p = with_map(p, "favor");
    p.state_rows = 3;
    p.slots = {2, 0};
    options.free_extents = true;
    all.push_back({"slots", op, reals(p, Type::F32, 202, true), options});
  }
  Problem p;
  p.variant = "decay";
  p.HQ = p.HK = p.HV = 2;
  p.T = 3000;
  Options options;
  options.threads = 3;
  options.in_place = true;
  all.push_back({"shared", "causal", reals(p, Type::F32, 203, true), options});
  return all;
}

// The caller's memory, counted: the library's own lists come from operator new.
struct Heap {
  long blocks = 0;
  static void* alloc(void* user, size_t bytes, size_t alignment) {
    void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (block != nullptr) ++static_cast<Heap*>(user)->blocks;
    return block;
  }
  static void dealloc(void* user, void* block, size_t) {
    --static_cast<Heap*>(user)->blocks;
    std::free(block);
  }
};

lathe_config config_of(Heap& heap, int threads) {
  lathe_config config{};
  config.size = sizeof config;
  config.threads = threads;
  config.user = &heap;
  config.alloc = Heap::alloc;
  config.dealloc = Heap::dealloc;
  return config;
}

class Refused : public testing::TestWithParam<Case> {
 protected:
  const Case& c = GetParam();
  const Answer want = call(c.op, c.problem, c.options);

  static std::vector<std::vector<unsigned char>> bytes(const Arguments& arguments) {
    std::vector<std::vector<unsigned char>> all;
    for (const auto& [role, tensor] : arguments.tensors) all.push_back(tensor->bytes());
    return all;
  }

  // All that a caller does with the library, with the n-th request for memory refused. A step that fails is done again
  // with memory at hand. False where there were fewer requests.
  bool lives_through(long n, refusing::Times times) {
    const std::string what = fmt::format("{} {}, request {} {}", c.op, c.name, n,
                                         times == refusing::Times::Once ? "once" : "and all after it");
    const Arguments arguments(c.op, c.problem, c.options);
    const std::vector<lathe_arg> args = arguments.list();
    const auto before = bytes(arguments);
    Heap heap;
    const lathe_config config = config_of(heap, c.options.threads);
    lathe_context* context = nullptr;
    lathe_plan* plan = nullptr;
    size_t need = 0;
    char text[8192];
    float projection[12];
    const std::vector<std::function<lathe_status()>> steps = {
        [&] { return lathe_context_create(&config, &context); },
        [&] { return lathe_plan_create(context, &arguments.desc, args.data(), args.size(), &plan); },
        [&] { return lathe_plan_workspace(plan, args.data(), args.size(), &need); },
        [&] { return lathe_describe(plan, text, sizeof text, &need); },
        [&] { return lathe_list("maps", text, sizeof text, &need); },
        [&] { return lathe_draw_projection(1, 1, 1, 4, 3, projection); },
        [&] { return lathe_run(context, plan, args.data(), args.size(), nullptr); },
    };
    const long blocks = refusing::blocks();
    bool refused = false;
    refusing::memory(n, times);
    for (const auto& step : steps) {
      const lathe_status status = step();
      if (status == LATHE_OK) continue;
      EXPECT_TRUE(refusing::end() && !refused) << what << ": an error without a reason";
      refused = true;
      EXPECT_EQ(status, LATHE_NO_MEMORY) << what << ": " << lathe_last_error(context);
      EXPECT_TRUE(bytes(arguments) == before) << what << ": a refused step wrote to a tensor";
      EXPECT_EQ(step(), LATHE_OK) << what << ": " << lathe_last_error(context);
    }
    refused = refusing::end() || refused;
    lathe_plan_destroy(plan);
    lathe_context_destroy(context);
    EXPECT_EQ(refusing::blocks(), blocks) << what << ": blocks were lost";
    EXPECT_EQ(heap.blocks, 0) << what << ": scratch was lost";
    expect_same(arguments.outputs(), want, what);
    return refused;
  }
};

TEST_P(Refused, AtEveryRequest) {
  for (const refusing::Times times : {refusing::Times::Once, refusing::Times::ForGood}) {
    long n = 1;
    while (lives_through(n, times) && !HasFailure()) ++n;
    EXPECT_GT(n, 15) << "so few requests cannot be all";
    RecordProperty(times == refusing::Times::Once ? "once" : "for_good", std::to_string(n - 1));
  }
}

// Threads, on the other hand, may be fewer than asked for; and are asked for again.
TEST_P(Refused, EveryThread) {
  for (long n = 1; n <= c.options.threads; ++n) {
    const Arguments arguments(c.op, c.problem, c.options), again(c.op, c.problem, c.options);
    const Context context(c.options.threads);
    const Plan plan(context, arguments, c.options.free_extents);
    refusing::threads(n);
    EXPECT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
    const bool refused = refusing::end_threads();
    EXPECT_EQ(refused, n < c.options.threads) << "of " << c.options.threads << " threads the caller's own is one";
    expect_same(arguments.outputs(), want, fmt::format("without thread {}", n));
    EXPECT_EQ(run(context, plan, again), LATHE_OK) << context.error();
    expect_same(again.outputs(), want, "with all threads again");
  }
}

// Once a context has seen a call, calls like it ask for nothing: no memory, and so no failure and no growth.
void expect_nothing_once_warm(const std::string& op, const Problem& p, const Options& options) {
  const Arguments arguments(op, p, options);
  const Context context(options.threads);
  const Plan plan(context, arguments, options.free_extents);
  const std::vector<lathe_arg> args = arguments.list();
  ASSERT_EQ(lathe_run(context.get(), plan.get(), args.data(), args.size(), nullptr), LATHE_OK) << context.error();
  const long requests = refusing::requests();
  for (int i = 0; i < 10; ++i)
    ASSERT_EQ(lathe_run(context.get(), plan.get(), args.data(), args.size(), nullptr), LATHE_OK);
  EXPECT_EQ(refusing::requests(), requests);
}

TEST_P(Refused, NothingOnceWarm) { expect_nothing_once_warm(c.op, c.problem, c.options); }

// Nor for texts that nobody reads: strides of so many digits do not fit into a string's own room.
TEST(Warm, MakesNoTexts) {
  Problem p;
  p.B = 2;
  p.HQ = p.HK = p.HV = 2;
  p.T = 70;
  p.V = 512;
  Options options;
  options.layout = Layout::Gapped;
  for (const std::string& op : operators()) expect_nothing_once_warm(op, reals(p, Type::F32, 207, true), options);
}

INSTANTIATE_TEST_SUITE_P(Ops, Refused, testing::ValuesIn(cases()),
                         [](const auto& test) { return fmt::format("{}_{}", test.param.op, test.param.name); });
void PrintTo(const Case& c, std::ostream* out) { *out << c.op << " " << c.name; }

// Scratch from the library's own allocator is one of the requests.
TEST(DefaultAllocator, RefusesInWords) {
  Problem p;
  p.T = 70;
  p = reals(p, Type::F32, 204, true);
  const Arguments arguments("causal", p);
  const std::vector<lathe_arg> args = arguments.list();
  const Context context(1);
  const Plan plan(context, arguments);
  lathe_status status = LATHE_NO_MEMORY;
  bool told = false;
  for (long n = 1; n < 20 && status == LATHE_NO_MEMORY; ++n) {
    refusing::memory(n, refusing::Times::Once);
    status = lathe_run(context.get(), plan.get(), args.data(), args.size(), nullptr);
    refusing::end();
    if (status == LATHE_NO_MEMORY) told = told || context.error().find("bytes") != std::string::npos;
  }
  EXPECT_EQ(status, LATHE_OK) << context.error();
  EXPECT_TRUE(told) << "no message told of the scratch memory";
  expect_answer(arguments.outputs(), "causal", p);
}

// An allocator that does not keep to the alignment it was asked for would make kernels fault.
TEST(CallersAllocator, MisalignedIsRefused) {
  alignas(64) static char memory[1 << 20];
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 1;
  static int given_back = 0;
  config.alloc = [](void*, size_t, size_t) -> void* { return memory + 4; };
  config.dealloc = [](void*, void*, size_t) { ++given_back; };
  const Context context(config);
  Problem p;
  p.T = 70;
  const Arguments arguments("causal", reals(p, Type::F32, 205));
  const Plan plan(context, arguments);
  EXPECT_EQ(run(context, plan, arguments), LATHE_NO_MEMORY);
  EXPECT_NE(context.error().find("aligned"), std::string::npos) << context.error();
  EXPECT_EQ(given_back, 1);
}

// An exception out of a function of the caller's does not cross C.
TEST(CallersAllocator, MayThrow) {
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 1;
  config.alloc = [](void*, size_t, size_t) -> void* { throw 17; };
  config.dealloc = [](void*, void*, size_t) {};
  const Context context(config);
  Problem p;
  p.T = 70;
  const Arguments arguments("causal", reals(p, Type::F32, 206));
  const Plan plan(context, arguments);
  EXPECT_EQ(run(context, plan, arguments), LATHE_INTERNAL);
  EXPECT_NE(context.error().find("exception"), std::string::npos) << context.error();
}

}  // namespace
