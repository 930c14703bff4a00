// The Performer's features with the running maximum of the keys subtracted: it streams as a state does.
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

const Problem shape = [] {
  Problem p;
  p.T = 70;
  p.HQ = p.HK = p.HV = 2;
  p.D = 24;
  p.V = 20;
  p.scale = 0.3;
  p.eps = 1e-6;
  p.stabilise = true;
  return p;
}();

class Stabilised : public testing::TestWithParam<const char*> {};

TEST_P(Stabilised, FavorPerformer) {
  for (const bool normalise : {false, true}) {
    Problem p = shape;
    p.normalise = normalise;
    p = reals(with_map(p, "favor_performer"), Type::F32, 23);
    check(GetParam(), p);
    p = reals(p, Type::F32, 24, true);
    check(GetParam(), p);
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, Stabilised, testing::Values("causal", "decode", "noncausal", "accumulate", "readout"));

// Inputs so large that nothing but the running maximum keeps the exponentials finite.
TEST(StabilisedRange, LargeKeysStayFinite) {
  Problem p = shape;
  p.normalise = true;
  p = reals(with_map(p, "favor_performer"), Type::F32, 25);
  for (double& x : p.k) x = rounded(Type::F32, 12 * x);
  const Answer got = call("causal", p);
  for (const double y : got.o) ASSERT_TRUE(y - y == 0) << y;
}

}  // namespace
