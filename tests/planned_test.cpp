// A run must bring what its plan was made for: every extent, type and argument that differs is refused by name.
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

struct Difference {
  const char* name;  // of the test, and what the refusal speaks of
  void (*make)(Problem&, Options&);
};

Problem planned() {
  Problem p;
  p.map = "favor";
  p.B = 2;
  p.T = 6;
  p.HQ = p.HK = p.HV = 2;
  p.D = 8;
  p.V = 12;
  p.M = 16;
  return p;
}

class OtherThanPlanned : public testing::TestWithParam<Difference> {};

TEST_P(OtherThanPlanned, IsRefused) {
  Problem other = planned();
  Options options;
  GetParam().make(other, options);
  const Arguments first("causal", reals(planned(), Type::F32, 141));
  const Arguments second("causal", reals(other, options.type, 142), options);
  const Context context(1);
  const Plan plan(context, first);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  const Answer before = second.outputs();
  EXPECT_EQ(run(context, plan, second), LATHE_INVALID);
  EXPECT_NE(context.error().find(GetParam().name), std::string::npos) << context.error();
  expect_same(second.outputs(), before, "outputs of a refused run");
  EXPECT_EQ(run(context, plan, first), LATHE_OK) << context.error();
}

INSTANTIATE_TEST_SUITE_P(Extents, OtherThanPlanned,
                         testing::Values(Difference{"B", [](Problem& p, Options&) { p.B = 3; }},
                                         Difference{"T", [](Problem& p, Options&) { p.T = 7; }},
                                         Difference{"HQ", [](Problem& p, Options&) { p.HQ = 4; }},
                                         Difference{"HK", [](Problem& p, Options&) { p.HK = 1; }},
                                         Difference{"HV", [](Problem& p, Options&) { p.HV = 4; }},
                                         Difference{"D", [](Problem& p, Options&) { p.D = 24; }},
                                         Difference{"M", [](Problem& p, Options&) { p.M = 20; }},
                                         Difference{"V", [](Problem& p, Options&) { p.V = 28; }},
                                         Difference{"bf16", [](Problem&, Options& o) { o.type = Type::BF16; }},
                                         Difference{"STATE_OUT", [](Problem&, Options& o) { o.states = false; }},
                                         Difference{"LENGTHS",
                                                    [](Problem& p, Options&) {
                                                      p.lengths = {6, 2};
                                                    }}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
