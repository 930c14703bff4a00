// A guest in someone's process: many of the caller's threads, forks, processor sets.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

constexpr int crowd = 8;

Problem problem_of(const std::string& op, uint64_t seed) {
  return reals(normalised(op, 2, 150, 20, 28), Type::F32, seed, true);
}

void run_right(const Context& context, const Plan& plan, const std::string& op, const Problem& p, const Answer& want) {
  const Arguments arguments(op, p);
  EXPECT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  expect_same(arguments.outputs(), want, op);
}

// All at once: none begins before all are there.
void in_a_crowd(const std::function<void(int)>& body) {
  std::atomic<int> there{0};
  std::vector<std::thread> threads;
  threads.reserve(crowd);
  for (int i = 0; i < crowd; ++i)
    threads.emplace_back([&, i] {
      ++there;
      while (there < crowd) std::this_thread::yield();
      body(i);
    });
  for (std::thread& thread : threads) thread.join();
}

class Crowd : public testing::TestWithParam<std::string> {
 protected:
  const std::string op = GetParam();
};

TEST_P(Crowd, EachWithAContextOfItsOwn) {
  std::vector<Problem> problems;
  std::vector<Answer> wants;
  for (int i = 0; i < crowd; ++i) {
    problems.push_back(problem_of(op, 301 + static_cast<uint64_t>(i)));
    wants.push_back(call(op, problems.back()));
  }
  in_a_crowd([&](int i) {
    const auto mine = static_cast<size_t>(i);
    for (int round = 0; round < 3; ++round) {
      const Context context(1 + i % 3);
      const Plan plan(context, Arguments(op, problems[mine]));
      run_right(context, plan, op, problems[mine], wants[mine]);
    }
  });
}

TEST_P(Crowd, AllWithOnePlan) {
  const Problem p = problem_of(op, 310);
  const Answer want = call(op, p);
  for (const int threads : {1, 3}) {
    const Context owner(threads);
    const Plan plan(owner, Arguments(op, p), true);
    ASSERT_EQ(plan.status, LATHE_OK) << owner.error();
    in_a_crowd([&](int i) {
      const Context context(1 + i % 2);
      for (int round = 0; round < 5; ++round) run_right(context, plan, op, p, want);
    });
  }
}

// One parallel-for of the caller's serves every context and every operator.
TEST_P(Crowd, WithTheCallersParallelFor) {
  static std::atomic<int> tasks;
  tasks = 0;
  lathe_config config{};
  config.size = sizeof config;
  config.threads = 4;
  config.parallel_for = [](void*, int n, void (*task)(void*, int), void* closure) {
    std::vector<std::thread> threads;
    threads.reserve(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i)
      threads.emplace_back([=] {
        task(closure, i);
        ++tasks;
      });
    for (std::thread& thread : threads) thread.join();
  };
  const Problem p = problem_of(op, 311);
  const Answer want = call(op, p);
  in_a_crowd([&](int) {
    const Context context(config);
    const Plan plan(context, Arguments(op, p));
    run_right(context, plan, op, p, want);
  });
  EXPECT_GE(tasks, 2 * crowd);
}

INSTANTIATE_TEST_SUITE_P(Ops, Crowd, testing::ValuesIn(operators()), [](const auto& test) { return test.param; });

std::set<pid_t> threads_alive() {
  std::set<pid_t> ids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    ids.insert(static_cast<pid_t>(std::stol(task.path().filename())));
  return ids;
}

// What a forked child finds; one that hangs is ended.
bool child_says(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

class Forks : public testing::Test {
 protected:
  const Problem p = problem_of("causal", 312);
  const Answer want = call("causal", p);
  const Arguments first{"causal", p}, second{"causal", p};
  std::unique_ptr<Context> context = std::make_unique<Context>(3);
  Plan plan{*context, first};

  bool right(const Context& with, const Arguments& arguments) const {
    return run(with, plan, arguments) == LATHE_OK && arguments.outputs().o == want.o;
  }
};

TEST_F(Forks, BeforeTheFirstRun) {
  EXPECT_TRUE(child_says([&] { return right(*context, first) && right(*context, second); }));
  EXPECT_TRUE(right(*context, first));
}

// Not by the calling thread alone: the child starts workers of its own.
TEST_F(Forks, HaveWorkersOfTheirOwn) {
  if (!std::filesystem::exists("/proc/self/task")) GTEST_SKIP() << "no /proc/self/task to count threads in";
  ASSERT_TRUE(right(*context, first));
  EXPECT_TRUE(child_says([&] { return right(*context, second) && threads_alive().size() == 3; }));
}

TEST_F(Forks, OfForks) {
  ASSERT_TRUE(right(*context, first));
  EXPECT_TRUE(child_says([&] {
    return right(*context, second) && child_says([&] { return right(*context, first) && right(*context, second); }) &&
           right(*context, first);
  }));
  EXPECT_TRUE(right(*context, second));
}

// The handles of the parent's workers mean nothing in a child; by the time the context is destroyed there, their memory
// may have become that of the child's own.
TEST_F(Forks, AContextEndsInTheChildToo) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer ends a child whose thread has the handle that a thread of its parent had";
#endif
  ASSERT_TRUE(right(*context, first));
  EXPECT_TRUE(child_says([&] {
    Context own(3);
    if (!right(own, second)) return false;
    context.reset();
    return right(own, first);
  }));
  EXPECT_TRUE(right(*context, second));
}

TEST_F(Forks, WhileAnotherThreadComputes) {
  std::atomic<bool> stop{false};
  std::atomic<int> runs{0};
  std::thread other([&] {
    const Context busy(2);
    while (!stop) {
      EXPECT_EQ(run(busy, plan, second), LATHE_OK);
      ++runs;
    }
  });
  while (runs < 3) std::this_thread::yield();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(child_says([&] { return right(*context, first); }));
  stop = true;
  other.join();
}

// Workers run where the thread may run that called for them first, and nowhere else.
TEST(CpuSet, IsObeyedByEveryWorker) {
  if (!std::filesystem::exists("/proc/self/task")) GTEST_SKIP() << "no /proc/self/task to list threads in";
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "one processor is allowed: there is nothing to disobey";
  CPU_ZERO(&one);
  int cpu = CPU_SETSIZE - 1;
  while (!CPU_ISSET(cpu, &all)) --cpu;
  CPU_SET(cpu, &one);
  std::thread([&] {
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    const Context context(4);
    const Problem p = problem_of("causal", 313);
    const Plan plan(context, Arguments("causal", p));
    const std::set<pid_t> before = threads_alive();
    run_right(context, plan, "causal", p, call("causal", p));
    int workers = 0;
    for (const pid_t id : threads_alive()) {
      if (before.contains(id)) continue;
      cpu_set_t its;
      ASSERT_EQ(sched_getaffinity(id, sizeof its, &its), 0);
      EXPECT_TRUE(CPU_EQUAL(&its, &one)) << "a worker may run on " << CPU_COUNT(&its) << " processors";
      ++workers;
    }
    EXPECT_EQ(workers, 3);
  }).join();
}

}  // namespace
