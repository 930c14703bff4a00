// Sweeps with a generator and a runner that misbehave: nothing a candidate does may end a sweep, be lost, or win.
#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "autotune/hash.h"
#include "support.h"

using namespace lathe::tune;
using namespace tune_test;

namespace {

constexpr size_t kPoints = 90;

std::map<std::string, Entry> found_in(const std::filesystem::path& folder) {
  return by_candidate(merged({folder}), "sweep");
}

// Processes of the shims that are still there.
int shims_running() {
  int count = 0;
  DIR* proc = opendir("/proc");
  for (const dirent* entry; (entry = readdir(proc));) {
    std::ifstream in(std::string("/proc/") + entry->d_name + "/cmdline");
    std::string word;
    std::getline(in, word, '\0');
    if (word.starts_with(LATHE_SHIMS)) count++;
  }
  closedir(proc);
  return count;
}

// A process that was killed takes a moment to be gone.
bool all_gone() {
  for (int i = 0; i < 100 && shims_running() > 0; i++) usleep(50000);
  return shims_running() == 0;
}

TEST(Sweep, FindsTheBest) {
  const Folder folder;
  const Result result = sweep(sweep_in(folder.path()));
  EXPECT_EQ(result.finding, Finding::improved) << result.detail;
  EXPECT_EQ(result.winner, (Point{6, 5}));
  EXPECT_DOUBLE_EQ(result.versus_default.ratio, 0.5);
  EXPECT_EQ(found_in(folder.path()).size(), kPoints);
}

TEST(Sweep, LearnsInFewerSteps) {
  const Folder folder;
  SweepOptions options = sweep_in(folder.path(), "ils");
  options.effort.evals = 60;
  EXPECT_EQ(sweep(options).winner, (Point{6, 5}));
}

TEST(Sweep, SurvivesWhatCandidatesDo) {
  const Told told("abort:0 hang:1 memory:2 refuse:3 fault:4 spin:5 greedy:6 wrong:7 race:8");
  const Folder folder;
  const Result result = sweep(sweep_in(folder.path()));
  const auto found = found_in(folder.path());
  EXPECT_EQ(found.size(), kPoints) << "a candidate was lost";
  std::map<Reason, int> reasons;
  for (const auto& [id, entry] : found) {
    const uint64_t number = lathe::tune::hash(entry.text + " ") % 20;
    const bool fallback = entry.text == "a=0 b=0";
    const Reason expected = fallback      ? Reason::ok
                            : number == 0 ? Reason::crash
                            : number == 1 ? Reason::compile_timeout
                            : number == 2 ? Reason::oom
                            : number == 3 ? Reason::compile_error
                            : number == 4 ? Reason::crash
                            : number == 5 ? Reason::run_timeout
                            : number == 6 ? Reason::oom
                            : number == 7 ? Reason::wrong
                            : number == 8 ? Reason::unstable
                                          : Reason::ok;
    EXPECT_EQ(name_of(entry.outcome.reason), std::string(name_of(expected)))
        << entry.text << ": " << entry.outcome.detail;
    reasons[entry.outcome.reason]++;
  }
  EXPECT_EQ(reasons.size(), 8U) << "every kind of failure came up";
  EXPECT_TRUE(result.finding == Finding::improved);
  EXPECT_TRUE(all_gone()) << "a child outlived the sweep";
}

TEST(Sweep, KeepsTheDefaultWhenNothingIsBetter) {
  const Told told("slow:1");
  const Folder folder;
  const Result result = sweep(sweep_in(folder.path()));
  EXPECT_EQ(result.finding, Finding::nothing_better);
  EXPECT_EQ(result.winner, (Point{0, 0}));
  EXPECT_EQ(exit_code(result.finding), 5);
}

TEST(Sweep, ADefaultThatIsWrongStopsIt) {
  const Told told("default:0");
  const Folder folder;
  const Result result = sweep(sweep_in(folder.path()));
  EXPECT_EQ(exit_code(result.finding), 3);
  EXPECT_NE(result.detail.find("should be 2"), std::string::npos) << result.detail;
}

TEST(Sweep, AMissingRunnerOrWrapperIsNoCandidatesFault) {
  const Folder folder;
  Runner runner = shim_runner();
  runner.wrap = {"no-such-wrapper", "{}"};
  EXPECT_THROW(sweep(sweep_in(folder.path()), runner), Infrastructure);
  EXPECT_TRUE(found_in(folder.path()).empty());
}

TEST(Sweep, TwoInOneFolderAreRefused) {
  const Folder folder;
  const Journal held(folder.path() / Shard{}.file());
  EXPECT_THROW(sweep(sweep_in(folder.path())), Infrastructure);
}

TEST(Sweep, WhatASchedulerEndsIsNotTheCandidatesFault) {
  const Folder folder;
  {
    const Told told("ended:3");
    EXPECT_THROW(sweep(sweep_in(folder.path())), Infrastructure);
  }
  for (const auto& [id, entry] : found_in(folder.path())) EXPECT_TRUE(entry.outcome.usable()) << entry.outcome.detail;
  EXPECT_EQ(sweep(sweep_in(folder.path())).winner, (Point{6, 5}));
  EXPECT_EQ(found_in(folder.path()).size(), kPoints);
}

// A process that may write no file past a size, as on a disk that is full.
[[noreturn]] void sweep_on_a_small_disk(const std::filesystem::path& folder) {
  signal(SIGXFSZ, SIG_IGN);
  const struct rlimit limit = {6000, 6000};
  setrlimit(RLIMIT_FSIZE, &limit);
  try {
    sweep(sweep_in(folder));
  } catch (const Infrastructure&) {
    _exit(75);
  }
  _exit(0);
}

TEST(Sweep, AFullDiskStopsItAndKeepsWhatIsThere) {
  const Folder folder;
  EXPECT_EXIT(sweep_on_a_small_disk(folder.path()), testing::ExitedWithCode(75), "");
  const size_t before = found_in(folder.path()).size();
  EXPECT_GT(before, 0U);
  EXPECT_LT(before, kPoints);
  EXPECT_EQ(sweep(sweep_in(folder.path())).winner, (Point{6, 5}));
  EXPECT_EQ(found_in(folder.path()).size(), kPoints);
}

// The sweep in a process of its own, killed at some moment; then what is there.
void killed_sweep(const std::filesystem::path& folder, std::chrono::milliseconds after) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      sweep(sweep_in(folder));
    } catch (const std::exception&) {
      _exit(1);
    }
    _exit(0);
  }
  usleep(static_cast<useconds_t>(after.count()) * 1000);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
}

TEST(Sweep, GoesOnAfterEveryKill) {
  const Folder folder, whole;
  std::mt19937 random(3);
  for (int i = 0; i < 20; i++) killed_sweep(folder.path(), std::chrono::milliseconds(20 + random() % 200));
  EXPECT_TRUE(all_gone()) << "a child outlived a sweep that was killed";
  const Result resumed = sweep(sweep_in(folder.path())), straight = sweep(sweep_in(whole.path()));
  EXPECT_EQ(resumed.winner, straight.winner);
  std::set<std::string> seen;
  for (const Entry& entry : read_journal(folder.path() / Shard{}.file()))
    if (entry.stage == "sweep") {
      EXPECT_TRUE(seen.insert(entry.id).second) << entry.text << " was measured twice";
    }
  EXPECT_EQ(seen.size(), kPoints);
}

TEST(Sweep, ShardsFindWhatOneFinds) {
  const auto ranking = [](const std::filesystem::path& folder) {
    std::string text;
    for (const auto& [id, entry] : found_in(folder)) {
      nlohmann::json line = to_line(entry);
      for (const char* own : {"sequence", "compile_seconds", "run_seconds"}) line.erase(own);
      text += line.dump() + "\n";
    }
    return text;
  };
  std::string one;
  for (const int count : {1, 2, 4, 8}) {
    const Folder folder;
    for (int i = 0; i < count; i++) {
      SweepOptions options = sweep_in(folder.path());
      options.shard = {i, count};
      sweep(options);
    }
    if (count == 1) one = ranking(folder.path());
    EXPECT_EQ(ranking(folder.path()), one) << count << " shards";
  }
  EXPECT_FALSE(one.empty());
}

}  // namespace
