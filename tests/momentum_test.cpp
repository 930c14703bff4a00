// What states with a momentum promise beyond what every variant does.
#include <gtest/gtest.h>

#include <cmath>

#include "support/gradients.h"
#include "support/inputs.h"
#include "support/momenta.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(int64_t T = 150) { return two_heads("momentum", T); }

// Nothing of it is kept: the plain scan, times the step size.
TEST(Momentum, OfNothingIsThePlainScanToTheBit) {
  Problem p = integers(shape_of(), 2, 161);
  p.decay.assign(2, -INFINITY);
  p.step_size = {3, -2};
  Problem plain = p;
  plain.decay.clear();
  plain.step_size.clear();
  plain.variant = "plain";
  for (size_t i = 0; i < p.v.size(); ++i) plain.v[i] *= p.step_size[i / static_cast<size_t>(p.V) % 2];
  for (const char* op : {"causal", "decode"}) {
    const Answer got = call(op, p), want = call(op, plain);
    expect_exact(got.o, want.o, Type::F32, op);
    expect_exact(got.state, want.state, Type::F32, op);
  }
}

// All of it is kept, and everything that came before: weights grow as distances do. (1 - beta^n) / (1 - beta) would
// cancel, or divide by zero. Positive numbers do not hide it.
TEST(Momentum, NearlyAllOfWhichIsKept) {
  for (const double g : {0.0, -1e-30, -1e-8, -1e-7, -1e-5, -1e-3, -0.1}) {
    Problem p = reals(shape_of(), Type::F32, 162, true);
    for (auto part : {&Problem::q, &Problem::k, &Problem::v, &Problem::state, &Problem::step_size})
      for (double& x : p.*part) x = std::abs(x);
    for (double& x : p.momentum) x = -std::abs(x);
    p.decay.assign(2, rounded(Type::F32, g));
    for (const char* op : {"causal", "decode", "causal_backward"}) check(op, p);
  }
}

// As its authors state it: the difference of two scans, each with its state.
TEST(Momentum, IsTheDifferenceOfTwoScans) {
  Problem p = reals(shape_of(), Type::F32, 163);
  p.decay = {rounded(Type::F32, std::log(0.6)), rounded(Type::F32, std::log(0.1))};
  p.step_size = {rounded(Type::F32, 0.9), 1};
  Problem decay = p;
  decay.step_size.clear();
  Problem plain = decay;
  plain.decay.clear();
  plain.variant = "plain";
  decay.variant = "decay";
  const Answer lin = call("causal", plain), ret = call("causal", decay), size = reference::causal(p).size,
               got = call("causal", p);
  Answer want = got;
  const auto differ = [&](std::vector<double> Answer::*part, int64_t width) {
    for (size_t i = 0; i < (want.*part).size(); ++i) {
      const size_t head = i / static_cast<size_t>(width) % 2;
      const double beta = std::exp(p.decay[head]);
      (want.*part)[i] = p.step_size[head] / (1 - beta) * ((lin.*part)[i] - beta * (ret.*part)[i]);
    }
  };
  differ(&Answer::o, p.V);
  differ(&Answer::state, p.D * p.V);
  for (size_t i = 0; i < want.momentum.size(); ++i)
    want.momentum[i] = -p.step_size[i / static_cast<size_t>(p.D * p.V)] * ret.state[i];
  expect_near(got, want, size, Type::F32, 40, "two scans");
}

// The normaliser has no decay that it would have to follow.
TEST(Momentum, NormalisesHeadsThatShareKeys) {
  with_heads_that_share_keys(shape_of(70), [](const Problem& p) {
    for (const char* op : {"causal", "decode", "causal_backward"}) check(op, reals(p, Type::F32, 164, true));
  });
}

// The state before a token and the one after it differ by its momentum.
TEST(Momentum, IsWhatSnapshotsDifferBy) {
  Problem p = shape_of(6);
  p.snapshots = true;
  p = integers(p, 2, 165, true);
  const Answer got = call("decode", p);
  const std::vector<double> last = rows_between(got.snapshots, 1, 6, 5, 1),
                            before = rows_between(got.snapshots, 1, 6, 4, 1);
  for (size_t i = 0; i < last.size(); ++i) EXPECT_EQ(before[i] - last[i], got.momentum[i]) << i;
}

TEST(Momentum, ComesAndGoesWithItsState) {
  expect_together(reals(shape_of(3), Type::F32, 166, true),
                  {LATHE_STATE_IN, LATHE_MOMENTUM_IN, LATHE_STATE_OUT, LATHE_MOMENTUM_OUT});
}

TEST(Momentum, RefusesWhatItHasNot) {
  Arguments stabilised("causal", reals(with_map(shape_of(3), "favor_performer"), Type::F32, 167));
  stabilised.desc.flags |= LATHE_STABILISE;
  EXPECT_EQ(Plan(shared_context(1), stabilised).status, LATHE_UNSUPPORTED);
  EXPECT_NE(shared_context(1).error().find("momentum"), std::string::npos) << shared_context(1).error();
  Arguments of_decay("causal_backward", reals(shape_of(3), Type::F32, 168));
  of_decay.tensors[LATHE_GRAD | LATHE_DECAY] = of_decay.tensors.at(LATHE_STEP_SIZE);
  EXPECT_EQ(Plan(shared_context(1), of_decay).status, LATHE_UNSUPPORTED);
  EXPECT_NE(shared_context(1).error().find("GRAD_DECAY"), std::string::npos) << shared_context(1).error();
}

}  // namespace
