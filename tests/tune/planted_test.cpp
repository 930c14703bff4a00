// Every planted fault is found, and the kernels that they were planted into are not accused. The real runner decides.
#include <fmt/format.h>
#include <gtest/gtest.h>

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

Outcome verified(const std::string& symbol, const std::string& kernel, const std::string& axis) {
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
  Runner runner;
  runner.program = LATHE_RUNNER;
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

}  // namespace
