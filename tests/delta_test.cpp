// What the delta rule promises beyond what every variant does.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(const std::string& variant, int64_t T = 150) {
  Problem p;
  p.variant = variant;
  p.T = T;
  p.HQ = p.HK = p.HV = 2;
  p.D = 24;
  p.V = 20;
  return p;
}

class Delta : public testing::TestWithParam<std::string> {};

// Of all that was written for one key the last is read back, to the bit.
TEST_P(Delta, OneKeyRemembersItsLastValue) {
  Problem p = integers(shape_of(GetParam()), 2, 153, true);
  std::fill(p.gate.begin(), p.gate.end(), 0);
  std::fill(p.k.begin(), p.k.end(), 0);
  for (size_t i = 0; i < p.k.size(); i += static_cast<size_t>(p.D)) p.k[i + 7] = 1;
  p.q = p.k;
  std::fill(p.beta.begin(), p.beta.end(), 1);
  for (const char* op : {"causal", "decode"}) expect_exact(call(op, p).o, p.v, Type::F32, op);
}

TEST_P(Delta, HasNoNormaliserAndNothingToStabilise) {
  for (const uint64_t flag : {LATHE_NORMALISE, LATHE_STABILISE})
    for (const char* op : {"causal", "decode"}) {
      Problem p = shape_of(GetParam(), 3);
      if (flag == LATHE_STABILISE) p = with_map(p, "favor_performer");
      Arguments arguments(op, reals(p, Type::F32, 154));
      arguments.desc.flags |= flag;
      EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_UNSUPPORTED);
      EXPECT_NE(shared_context(1).error().find(GetParam()), std::string::npos) << shared_context(1).error();
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, Delta, testing::Values("delta", "gated_delta"),
                         [](const auto& test) { return test.param; });

}  // namespace
