// The parts of the tuner on their own.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <set>

#include "autotune/configuration.h"
#include "autotune/loops.h"
#include "autotune/result.h"
#include "autotune/side_by_side.h"
#include "autotune/statistics.h"
#include "schedules/census.h"
#include "support.h"

using namespace lathe::tune;
using namespace tune_test;

namespace {

lathe::gen::Space million() {
  lathe::gen::Space space;
  for (const char* name : {"a", "b", "c", "d", "e", "f"})
    space.knobs.push_back({name, 0, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "of a test"});
  space.constraints.push_back({"a is even", [](const auto& n) { return n.at("a") % 2 == 0; }, {"a"}});
  space.constraints.push_back({"a + b is small", [](const auto& n) { return n.at("a") + n.at("b") < 5; }, {"a", "b"}});
  space.constraints.push_back({"d is not f", [](const auto& n) { return n.at("d") != n.at("f"); }, {"d", "f"}});
  return space;
}

TEST(Census, CountsAMillionByTheirReasons) {
  uint64_t visited = 0;
  const auto census = enumerate(million(), [&](const auto&) { visited++; });
  EXPECT_EQ(census.raw, 1000000U);
  EXPECT_EQ(census.rejected[0].second, 500000U);
  // of even a, b < 5 - a: 5 + 3 + 1 of 50 pairs are left
  EXPECT_EQ(census.rejected[1].second, 410000U);
  EXPECT_EQ(census.rejected[2].second, 9000U);
  EXPECT_EQ(census.valid, 81000U);
  EXPECT_EQ(visited, census.valid);
}

TEST(Census, AConstraintMustNameWhatItReads) {
  lathe::gen::Space space = million();
  space.constraints.push_back({"c is small", [](const auto& n) { return n.at("c") < 3; }, {"a"}});
  EXPECT_THROW(enumerate(space, [](const auto&) {}), std::logic_error);
  space.constraints.back().reads = {"no such knob"};
  EXPECT_THROW(enumerate(space, [](const auto&) {}), std::logic_error);
}

TEST(Census, AnUnnamedConstraintIsAskedLast) {
  lathe::gen::Space space = million();
  space.constraints.push_back({"c is 1", [](const auto& n) { return n.at("c") == 1; }});
  EXPECT_EQ(enumerate(space, [](const auto&) {}).valid, 8100U);
}

TEST(Statistics, AnIntervalHoldsTheMedian) {
  std::vector<double> ratios;
  for (int i = 0; i < 100; i++) ratios.push_back(0.9 + 0.001 * (i % 21 - 10));
  const Interval interval = bootstrap(ratios);
  EXPECT_NEAR(interval.middle, 0.9, 0.001);
  EXPECT_LE(interval.low, interval.middle);
  EXPECT_GE(interval.high, interval.middle);
  EXPECT_LT(interval.high - interval.low, 0.01);
  EXPECT_EQ(bootstrap(ratios).high, interval.high) << "the same numbers, the same interval";
  const Interval both = bootstrap(std::vector<std::vector<double>>{{2, 2, 2}, {8, 8}});
  EXPECT_DOUBLE_EQ(both.middle, 4);
  EXPECT_DOUBLE_EQ(both.low, 4);
}

TEST(Statistics, RankCorrelation) {
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4}, {10, 20, 30, 1000}), 1);
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1);
  EXPECT_NEAR(spearman({1, 1, 2, 2}, {1, 2, 1, 2}), 0, 1e-12);
}

TEST(Shards, PartitionTheCandidates) {
  for (const int count : {1, 3, 8}) {
    int owners = 0;
    for (int i = 0; i < count; i++) owners += parse_shard(fmt::format("{}/{}", i, count)).owns("00000000deadbeef");
    EXPECT_EQ(owners, 1);
  }
  for (const char* wrong : {"8/8", "-1/8", "x/8", "1", "1/0", "1/x", "/8"})
    EXPECT_THROW(parse_shard(wrong), std::invalid_argument) << wrong;
}

TEST(Shards, TheSchedulerTellsTheIndex) {
  setenv("SGE_TASK_ID", "3", 1);
  EXPECT_EQ(parse_shard("/8").index, 2) << "counted from one there";
  setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  EXPECT_EQ(parse_shard("/8").index, 3);
  unsetenv("SLURM_ARRAY_TASK_ID");
  unsetenv("SGE_TASK_ID");
}

Entry entry(const std::string& id) {
  Outcome outcome;
  outcome.reason = Reason::ok;
  outcome.ratio = 0.5;
  outcome.pairs = outcome.fast = 24;
  return {id, "a=1 b=2", "sweep", 0, outcome};
}

TEST(Journals, ABrokenLastLineIsLeftOutAndOverwritten) {
  const Folder folder;
  const auto file = folder.path() / "shard-0-of-1.jsonl";
  {
    Journal journal(file);
    journal.append(entry("1"));
    journal.append(entry("2"));
  }
  std::ofstream(file, std::ios::app) << R"({"id": "3", "text)";
  EXPECT_EQ(read_journal(file).size(), 2U);
  {
    Journal journal(file);
    EXPECT_EQ(journal.entries().size(), 2U);
    journal.append(entry("4"));
  }
  ASSERT_EQ(read_journal(file).size(), 3U);
  EXPECT_EQ(read_journal(file)[2].id, "4");
}

TEST(Journals, ABrokenLineInTheMiddleIsNamed) {
  const Folder folder;
  const auto file = folder.path() / "shard-0-of-1.jsonl";
  std::ofstream(file) << to_line(entry("1")).dump() << "\nnonsense\n" << to_line(entry("2")).dump() << "\n";
  try {
    read_journal(file);
    FAIL() << "it was read";
  } catch (const Infrastructure& error) {
    EXPECT_NE(std::string(error.what()).find("jsonl:2:"), std::string::npos) << error.what();
  }
}

TEST(Journals, MergingIsAUnion) {
  const Folder one, two;
  Journal(one.path() / "shard-0-of-2.jsonl").append(entry("1"));
  Journal(one.path() / "shard-1-of-2.jsonl").append(entry("2"));
  Journal(two.path() / "shard-0-of-2.jsonl").append(entry("1"));
  Entry better = entry("2");
  better.outcome.fast = 100;
  better.outcome.ratio = 0.6;
  Journal(two.path() / "shard-1-of-2.jsonl").append(better);
  const auto all = merged({one.path(), two.path()});
  EXPECT_EQ(all.size(), 3U) << "what differs is kept, what is the same is there once";
  EXPECT_DOUBLE_EQ(by_candidate(all, "sweep").at("2").outcome.ratio, 0.6) << "more pairs count for more";
}

TEST(Children, EndsAreTold) {
  const Limits limits{2, uint64_t{1} << 30, 10, 0.1};
  EXPECT_TRUE(run_child({"sh", "-c", "cat; echo err >&2"}, "hello", limits).well());
  EXPECT_EQ(run_child({"sh", "-c", "cat; echo err >&2"}, "hello", limits).out, "hello");
  EXPECT_EQ(run_child({"sh", "-c", "exit 7"}, "", limits).code, 7);
  const Ended killed = run_child({"sh", "-c", "kill -SEGV $$"}, "", limits);
  EXPECT_EQ(killed.how, End::signalled);
  EXPECT_EQ(killed.code, SIGSEGV);
  EXPECT_EQ(run_child({"no-such-command"}, "", limits).how, End::not_started);
}

TEST(Children, MayHaveAllMemory) {
  EXPECT_TRUE(run_child({"sh", "-c", "echo"}, "", {2, 0, 10, 0.1}).well()) << "what goes through a wrapper";
}

TEST(Children, WhatTheyLeaveBehindIsNotWaitedFor) {
  const Ended ended = run_child({"sh", "-c", "setsid sleep 4 & echo done"}, "", {3, 0, 10, 0.1});
  EXPECT_TRUE(ended.well()) << "the sleeper holds the outputs open, as ssh's shared connection does";
  EXPECT_EQ(ended.out, "done\n");
}

TEST(Children, AGroupIsKilledWhole) {
  const Folder folder;
  const auto file = folder.path() / "grandchild";
  const Limits limits{0.3, uint64_t{1} << 30, 10, 0.1};
  const std::string script = fmt::format("trap '' TERM; sh -c 'echo $$ > {}; sleep 30' & sleep 30", file.string());
  EXPECT_EQ(run_child({"sh", "-c", script}, "", limits).how, End::timed_out);
  pid_t grandchild = 0;
  std::ifstream(file) >> grandchild;
  ASSERT_GT(grandchild, 0);
  for (int i = 0; i < 100 && kill(grandchild, 0) == 0; i++) {
    // a dead one that nobody has waited for is still there, as a zombie
    std::string state;
    std::ifstream in(fmt::format("/proc/{}/stat", grandchild));
    std::getline(in, state);
    if (state.find(" Z ") != std::string::npos) return;
    usleep(10000);
  }
  EXPECT_NE(kill(grandchild, 0), 0);
}

TEST(Runners, OnlyMarkedLinesCount) {
  Ended ended;
  ended.how = End::exited;
  ended.out =
      "noise{\"event\": \"wrong\"}\n@lathe {\"event\": \"verified\", \"worst\": 2}\n@lathe {\"event\": "
      "\"done\"}\n@lathe {broken\n";
  EXPECT_TRUE(read_runner(ended, false).usable());
  ended.out = "@lathe {\"event\": \"verified\", \"worst\": 2}\n";
  EXPECT_EQ(read_runner(ended, false).reason, Reason::infra) << "it ended well and yet was not done";
}

TEST(Runners, ReasonsHaveNames) {
  for (const char* name : {"ok", "constraint", "compile_error", "compile_timeout", "crash", "run_timeout", "oom",
                           "wrong", "unstable", "unrated", "infra"})
    EXPECT_STREQ(name_of(reason_of(name)), name);
  EXPECT_THROW(reason_of("tired"), std::invalid_argument);
}

TEST(SideBySide, EndsAllAndThrowsTheFirstFailure) {
  std::vector<int> done(20);
  try {
    side_by_side(done.size(), 3, [&](size_t i) {
      done[i]++;
      if (i == 7 || i == 12) throw std::runtime_error(std::to_string(i));
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "7");
  }
  EXPECT_EQ(done, std::vector<int>(20, 1));
}

TEST(StaticModel, LoopsAreCut) {
  // as LLVM writes it: a block may stand before the header of its loop
  const auto loops = loops_of(
      "kernel:\n# %bb.0:\n\tpushq %rax\n.LBB0_3:   # %\"4_end_for_o.s0.x.x\"\n           #   in Loop: Header=BB0_1 "
      "Depth=1\n\tincq %rsi\n\tje .LBB0_9\n.LBB0_1:   # %\"1_for_o.s0.x.x\"\n           # =>This Loop Header: Depth=1\n"
      "           #     Child Loop BB0_2 Depth 2\n\tmovq %rax, %rbx\n.LBB0_2:  # %\"2_for_sum.s1.k$x.k$x.us\"\n"
      "          #   Parent Loop BB0_1 Depth=1\n          # =>  This Inner Loop Header: Depth=2\n"
      "\tvfmadd231ps (%rcx), %zmm0, %zmm1\n\tmovq 8(%rsp), %rdx    # 8-byte Reload\n\tjne\t.LBB0_2\n"
      ".LBB0_9:  # %destructor_block\n\tretq\n");
  ASSERT_EQ(loops.size(), 2U);
  EXPECT_EQ(loops[0].name, "o.s0.x.x");
  EXPECT_FALSE(loops[0].innermost);
  EXPECT_EQ(loops[0].body, "\tincq %rsi\n\tje .LBB0_9\n\tmovq %rax, %rbx\n")
      << "without the loop inside, and what follows";
  EXPECT_EQ(loops[1].name, "sum.s1.k$x.k$x.us");
  EXPECT_TRUE(loops[1].innermost);
  EXPECT_NE(loops[1].body.find("vfmadd231ps"), std::string::npos);
  EXPECT_EQ(loops[1].spills, 1);
}

TEST(Pins, KeepWhatTheyName) {
  const Space all = list_space(shim_tools(), "causal", "plain", "avx2");
  const auto values = [&](const Space& space) {
    std::set<int> found;
    for (const Point& point : space.points) found.insert(point[0]);
    return found;
  };
  Space some = all;
  some.pin(parse_pin("a=3,7,1000"));
  EXPECT_EQ(values(some), (std::set<int>{3, 7}));
  EXPECT_EQ(some.index_of(some.points[1]), 1U);
  some = all;
  some.pin(parse_pin("a=any"));
  EXPECT_EQ(some.points, all.points);
  EXPECT_THROW(some.pin(parse_pin("a=1000")), std::invalid_argument);
  EXPECT_THROW(some.pin(parse_pin("c=4")), std::invalid_argument);
  for (const char* wrong : {"a", "a=", "a=3x", "a=3,", "a=-1", "=3"})
    EXPECT_THROW(parse_pin(wrong), std::invalid_argument) << wrong;
}

TEST(StaticModel, BodiesAreCounted) {
  const Contents arm = contents_of(
      "\tldp\tq0, q1, [x8]\n\tfmla\tv2.4s, v0.4s, v3.s[1]\n\tfmls\tv4.4s, v0.4s, v1.4s\n\tstp\tq2, q4, [sp, #32]\n"
      "\tstr\tq2, [x9]\n\tb.ne\t.LBB0_2\n");
  EXPECT_EQ(arm.instructions, 6);
  EXPECT_EQ(arm.fmas, 2);
  EXPECT_EQ(arm.stores, 2);
  EXPECT_EQ(arm.stack_stores, 1);
  const Contents x86 = contents_of(
      "\tvmovups\t(%rsi), %zmm0\n\tvfmadd231ps\t(%rcx){1to16}, %zmm0, %zmm1\n\tvmovaps\t%ymm1, 64(%rsp)\n"
      "\tvmovups\t%zmm1, (%rdi,%rax,4)\n");
  EXPECT_EQ(x86.fmas, 1);
  EXPECT_EQ(x86.stores, 2);
  EXPECT_EQ(x86.stack_stores, 1);
}

TEST(StaticModel, LoopsAreMatchedWithTheirTrips) {
  const auto problems = read_trips("16 0 o.x\n1024 1 sum.k\n64 1 tail.k\n\n32 1 o.x\n\n");
  ASSERT_EQ(problems.size(), 2U);
  ASSERT_EQ(problems[1].size(), 1U);
  EXPECT_EQ(problems[1][0].count, 32);
  const auto& trips = problems[0];
  const auto loop = [](const char* name, bool innermost) { return Loop{name, "x", 0, innermost}; };
  EXPECT_EQ(matched({loop("o.x", false), loop("sum.k.us", true), loop("tail.k", true), loop("memset", true)}, trips),
            (std::vector<double>{16, 1024, 64, 0}));
  EXPECT_EQ(matched({loop("o.x", true), loop("o.x.us", false), loop("sum.k", true)}, trips),
            (std::vector<double>{0, 16, 1024}))
      << "of two copies the one with the loop inside is it";
}

TEST(Results, ClaimNoMoreThanWasDone) {
  const Space space = list_space(shim_tools(), "causal", "plain", "avx2");
  Result result;
  result.winner = result.current = space.fallback;
  result.versus_default.reason = Reason::ok;
  Circumstances c;
  c.machine = nlohmann::json::object();
  c.fidelity = "static-mca";
  c.verified = false;
  const nlohmann::json modelled = as_json(result, space, c).at("evidence");
  EXPECT_EQ(modelled.at("verified"), "nothing was run");
  EXPECT_FALSE(modelled.contains("vs_default")) << "a model claims no time";
  c.fidelity = "native";
  c.verified = true;
  const nlohmann::json measured = as_json(result, space, c).at("evidence");
  EXPECT_EQ(measured.at("verified").at("reference"), "float64");
  EXPECT_TRUE(measured.contains("vs_default"));
}

TEST(Configurations, AreTheSameBytesInAnyOrder) {
  const Folder one, two;
  RecordFile a(one.path(), "avx2"), b(two.path(), "avx2");
  a.of("znver4", 48).kernels["state"] = {{"params", {{"unroll", 4}}}};
  a.of("generic", 32);
  b.of("generic", 32);
  b.of("znver4", 48).kernels["state"] = {{"params", {{"unroll", 4}}}};
  a.write();
  b.write();
  const auto text = [](const std::filesystem::path& file) {
    std::ifstream in(file);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  EXPECT_EQ(text(a.path()), text(b.path()));
  EXPECT_EQ(RecordFile(one.path(), "avx2").find("znver4")->chunk, 48);
}

TEST(Strategies, NoPointTwiceAndAllInTheEnd) {
  const Space space = list_space(shim_tools(), "causal", "plain", "avx2");
  for (const std::string& name : strategy_names()) {
    const auto strategy = make_strategy(space, {name, 7, {space.fallback}});
    Scores scores;
    for (int i = 0; i < 200; i++)
      for (const size_t index : strategy->next(scores, 8))
        EXPECT_TRUE(scores.emplace(index, 1 + std::fabs(static_cast<double>(index) - 40)).second) << name;
    EXPECT_EQ(scores.size(), space.points.size()) << name;
  }
}

}  // namespace
