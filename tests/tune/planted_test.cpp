// Every planted fault is found, and the kernels that they were planted into are not accused. The real runner decides.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "autotune/builder.h"
#include "autotune/measurer.h"

using namespace lathe::tune;

namespace {

struct Fault {
  const char *name, *kernel, *axis;
};
const Fault kFaults[] = {
#define LATHE_FAULT(name, kernel, axis, what) {#name, #kernel, #axis},
#include "planted_faults.def"
#undef LATHE_FAULT
};

Runner own_runner() {
  Runner runner;
  runner.program = LATHE_RUNNER;
  return runner;
}

Outcome verified(const std::string& symbol, const std::string& kernel, const std::string& axis,
                 const Runner& runner = own_runner()) {
  Tools tools;
  tools.generator = LATHE_GENERATOR;
  tools.records = LATHE_RECORDS;
  tools.tune_for = LATHE_TUNED_FOR;
  const Space space = list_space(tools, kernel, axis, LATHE_ROW_NAME);
  Job job;
  job.kernel = kernel;
  job.axis = axis;
  job.arguments = space.arguments.get<std::vector<Argument>>();
  job.race = false;
  job.candidate = read_entry(fmt::format("{}/lathe_{}_{}_{}.inc", LATHE_KERNELS, kernel, axis, LATHE_ROW_NAME));
  job.candidate.library = LATHE_PLANTED_LIBRARY;
  job.candidate.symbol = symbol + "_argv";
  Candidate candidate;
  return runner_measurer(runner)->measure(space, candidate, job);
}

TEST(Planted, EveryFaultIsFound) {
  for (const Fault& fault : kFaults) {
    const Outcome outcome = verified(fault.name, fault.kernel, fault.axis);
    EXPECT_TRUE(outcome.reason == Reason::wrong || outcome.reason == Reason::unstable ||
                outcome.reason == Reason::crash)
        << fault.name << ": " << name_of(outcome.reason) << " " << outcome.detail;
  }
}

TEST(Planted, SoundKernelsPass) {
  for (const auto& [kernel, axis] :
       {std::pair{"causal", "plain"}, {"causal_normalised", "plain"}, {"state", "plain"}, {"map", "elu1"}}) {
    const Outcome outcome = verified(std::string("sound_") + kernel, kernel, axis);
    EXPECT_TRUE(outcome.usable()) << kernel << ": " << name_of(outcome.reason) << " " << outcome.detail;
  }
}

// A board's disk is small, and a sweep brings it thousands of libraries.
TEST(Pushed, NothingStaysButTheRunner) {
  namespace fs = std::filesystem;
  const fs::path board = fs::temp_directory_path() / fmt::format("lathe-board-{}", getpid());
  fs::create_directories(board);
  Runner runner = own_runner();
  runner.push = {"cp", "{}", board};
  runner.wrap = {"env", "-C", board, "{}"};
  const Outcome outcome = verified("sound_state", "state", "plain", runner);
  EXPECT_TRUE(outcome.usable()) << name_of(outcome.reason) << " " << outcome.detail;
  std::vector<std::string> left;
  for (const auto& file : fs::directory_iterator(board)) left.push_back(file.path().filename());
  EXPECT_EQ(left, std::vector<std::string>{fs::path(LATHE_RUNNER).filename()});
  fs::remove_all(board);
}

}  // namespace
