// The answer does not depend on who computes it; and several really do.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

// Values wider than keys and narrower ones: one head goes to several threads in one way or the other.
constexpr int64_t kWide = 72, kNarrow = 24;

Problem problem_of(int64_t B, int64_t H, int64_t T, const std::string& variant = "plain", int64_t V = kWide) {
  Problem p;
  p.variant = variant;
  p.map = "elu1";
  p.B = B;
  p.HQ = p.HK = p.HV = H;
  p.T = T;
  p.D = 40;
  p.V = V;
  p.normalise = true;
  p.eps = 1e-6;
  return reals(p, Type::F32, 61, true);
}

class Threads : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(Threads, GiveTheSameBits) {
  const auto& [op, variant] = GetParam();
  using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t>;
  const int64_t most = variant == "plain" ? 9000 : 2000;
  for (const auto& [B, H, T, V] :
       {Shape{1, 1, most, kWide}, {1, 1, most, kNarrow}, {2, 3, 200, kWide}, {1, 5, 70, kWide}, {1, 2, 701, kNarrow}}) {
    const Problem p = problem_of(B, H, op == "decode" ? std::min<int64_t>(T, 40) : T, variant, V);
    const Answer one = call(op, p);
    for (const int threads : {2, 3}) {
      Options options;
      options.threads = threads;
      options.in_place = V == kNarrow && op != "readout";
      expect_same(call(op, p, options), one, fmt::format("{} B{} H{} T{} V{} threads {}", op, B, H, T, V, threads));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, Threads, testing::ValuesIn(reference::operators_and_variants()),
                         [](const auto& test) { return fmt::format("{}_{}", test.param.first, test.param.second); });

// Two threads of the caller's own, each of which takes one task before either may take a second.
struct Workers {
  std::mutex mutex;
  int calls = 0, tasks = 0;
  std::set<std::thread::id> took_part;

  static void parallel_for(void* user, int n, void (*task)(void*, int), void* closure) {
    auto& self = *static_cast<Workers*>(user);
    {
      const std::lock_guard lock(self.mutex);
      ++self.calls;
    }
    std::atomic<int> next{2};
    const auto work = [&](int mine) {
      for (int i = mine; i < n; i = next++) {
        task(closure, i);
        const std::lock_guard lock(self.mutex);
        ++self.tasks;
        self.took_part.insert(std::this_thread::get_id());
      }
    };
    std::thread other(work, 1);
    work(0);
    other.join();
  }
};

lathe_config config_of(Workers& workers) {
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 2;
  config.user = &workers;
  config.parallel_for = Workers::parallel_for;
  return config;
}

class TwoWorkers : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t, int64_t>> {};

TEST_P(TwoWorkers, BothRun) {
  const auto& [B, H, T, V] = GetParam();
  const Problem p = problem_of(B, H, T, "plain", V);
  const Arguments arguments("causal", p);
  Workers workers;
  const Context context(config_of(workers));
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  EXPECT_EQ(plan.describe().value("threads", 0), 2);
  ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  EXPECT_GE(workers.calls, 1);
  EXPECT_GE(workers.tasks, 2);
  EXPECT_EQ(workers.took_part.size(), 2u);
  expect_same(arguments.outputs(), call("causal", p), "with the caller's workers");
}

INSTANTIATE_TEST_SUITE_P(Shapes, TwoWorkers,
                         testing::Values(std::tuple{1, 1, 9000, kWide}, std::tuple{1, 1, 9000, kNarrow},
                                         std::tuple{1, 2, 300, kWide}, std::tuple{2, 1, 300, kWide},
                                         std::tuple{3, 3, 100, kWide}));

// Tasks depend on nothing but their index: run backwards, on one thread, they give the same bits.
TEST(Tasks, InAnyOrder) {
  const Problem p = problem_of(2, 3, 150);
  const Arguments arguments("causal", p);
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 3;
  config.parallel_for = [](void*, int n, void (*task)(void*, int), void* closure) {
    while (n-- > 0) task(closure, n);
  };
  const Context context(config);
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  expect_same(arguments.outputs(), call("causal", p), "backwards");
}

int64_t threads_alive() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// A thread that was joined stays in /proc for a moment: the kernel wakes who waits for it before it takes it off the
// list.
int64_t threads_settled() {
  int64_t alive = threads_alive();
  for (int same = 0; same < 50; ++same) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (const int64_t now = threads_alive(); now != alive) alive = now, same = 0;
  }
  return alive;
}

TEST(Pool, StartsWhenNeededAndEndsWithItsContext) {
  if (!std::filesystem::exists("/proc/self/task")) GTEST_SKIP() << "no /proc/self/task to count threads in";
  const Arguments arguments("causal", problem_of(2, 2, 300));
  const int64_t before = threads_settled();
  {
    const Context context(2);
    EXPECT_EQ(threads_settled(), before) << "started before there was work";
    const Plan plan(context, arguments);
    ASSERT_EQ(plan.status, LATHE_OK) << context.error();
    ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
    EXPECT_EQ(threads_settled(), before + 1);
  }
  EXPECT_EQ(threads_settled(), before);
}

// A forked child has none of its parent's threads, and works all the same.
TEST(Pool, SurvivesAFork) {
  const Problem p = problem_of(2, 2, 300);
  const Context context(2);
  const Arguments arguments("causal", p), again("causal", p);
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(30);
    const bool right = run(context, plan, again) == LATHE_OK && again.outputs().o == arguments.outputs().o;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Pool, IsAsLargeAsTheCpuSet) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  CPU_SET(cpu, &one);
  const Arguments arguments("causal", problem_of(1, 2, 100));
  const auto threads_of_a_default_plan = [&] {
    const Context context(0);
    const Plan plan(context, arguments);
    EXPECT_EQ(plan.status, LATHE_OK) << context.error();
    return plan.describe().value("threads", 0);
  };
  EXPECT_EQ(threads_of_a_default_plan(), CPU_COUNT(&before));
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const int narrowed = threads_of_a_default_plan();
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(narrowed, 1);
}

// A plan is immutable: contexts on different threads run it at once.
TEST(Plans, ServeSeveralContextsAtOnce) {
  const Problem p = problem_of(1, 2, 200);
  const Answer want = call("causal", p);
  const Arguments shared("causal", p);
  const Context owner(1);
  const Plan plan(owner, shared);
  ASSERT_EQ(plan.status, LATHE_OK) << owner.error();
  std::vector<Answer> answers(3);
  std::vector<std::thread> callers;
  for (Answer& answer : answers)
    callers.emplace_back([&] {
      const Context context(1);
      const Arguments arguments("causal", p);
      for (int i = 0; i < 5; ++i) EXPECT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
      answer = arguments.outputs();
    });
  for (std::thread& caller : callers) caller.join();
  for (const Answer& answer : answers) expect_same(answer, want, "from another thread");
}

}  // namespace
