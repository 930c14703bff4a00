// What the plain scan of values that are weighed by the length of their sequence promises beyond what every variant
// does.
#include <gtest/gtest.h>

#include <cmath>

#include "support/gradients.h"
#include "support/inputs.h"
#include "support/momenta.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(int64_t T = 150) { return two_heads("momentum_training", T); }

// By hand, so that an error of the oracle does not pass for the library's success.
TEST(MomentumTraining, KnownValues) {
  Problem p;
  p.variant = "momentum_training";
  p.T = 3;
  p.D = p.V = 1;
  p.q = p.k = p.v = {1, 1, 1};
  p.decay = {rounded(Type::F32, std::log(0.5))};
  p.step_size = {0.5};
  const Answer got = call("causal", p);
  const double want[] = {0.875, 1.625, 2.125};
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(got.o[i], want[i], 1e-6) << i;
  p.T = 1;
  p.q = p.k = p.v = {3};
  EXPECT_EQ(call("causal", p).o[0], 13.5);
}

// What a token has given the state by the end is the same, whether it came at once or by and by.
TEST(MomentumTraining, EndsWhereMomentumDoes) {
  for (const double g : {0.0, -1e-7, -0.1, -2.0, -double{INFINITY}}) {
    Problem p = reals(shape_of(), Type::F32, 201);
    p.decay.assign(2, rounded(Type::F32, g));
    Problem moving = p;
    moving.variant = "momentum";
    expect_values_near(call("causal", p).state, call("causal", moving).state, reference::causal(moving).size.state,
                       Type::F32, 40, "state");
  }
}

TEST(MomentumTraining, OfNothingIsThePlainScanToTheBit) {
  Problem p = integers(shape_of(), 2, 202, true);
  p.decay.assign(2, -INFINITY);
  p.step_size = {3, -2};
  Problem plain = p;
  plain.decay.clear();
  plain.step_size.clear();
  plain.variant = "plain";
  for (size_t i = 0; i < p.v.size(); ++i) plain.v[i] *= p.step_size[i / static_cast<size_t>(p.V) % 2];
  expect_exact(call("causal", p), call("causal", plain), Type::F32, "causal");
}

// Weights of a chunk begin with those of all tokens behind it.
TEST(MomentumTraining, OfManyTokens) {
  constexpr int64_t T = 100'003;
  for (const double g : {0.0, -1e-30, -1e-6, -1e-3, -5.0}) {
    Problem p;
    p.variant = "momentum_training";
    p.T = T;
    p.D = p.V = 1;
    p.decay = {rounded(Type::F32, g)};
    p.step_size = {1};
    for (auto part : {&Problem::q, &Problem::k, &Problem::v}) (p.*part).assign(T, 0);
    const double b = std::exp(p.decay[0]);
    double sum = 0;
    std::vector<double> weights;
    for (int64_t i = 0; i < T; ++i) weights.push_back(sum = 1 + b * sum);
    for (const int64_t at : {int64_t{0}, int64_t{31}, int64_t{4097}, T - 40, T - 1}) {
      Problem one = p;
      one.q[static_cast<size_t>(at)] = one.k[static_cast<size_t>(at)] = one.v[static_cast<size_t>(at)] = 1;
      const double want = weights[static_cast<size_t>(T - 1 - at)];
      EXPECT_NEAR(call("causal", one).o[static_cast<size_t>(at)], want, 1e-7 * want) << g << " at " << at;
    }
  }
}

// The same tokens at the beginning of a longer sequence count more.
TEST(MomentumTraining, KnowsTheLengthOfItsSequence) {
  Problem p = reals(shape_of(40), Type::F32, 203);
  const Answer whole = call("causal", p);
  EXPECT_NE(call("causal", tokens_of(p, 0, 20, nullptr)).o, rows_between(whole.o, 1, 40, 0, 20));
  p.lengths = {20};
  const Answer of_length = call("causal", p);
  expect_same(rows_between(of_length.o, 1, 40, 0, 20), call("causal", tokens_of(p, 0, 20, nullptr)).o, "a length");
}

TEST(MomentumTraining, NormalisesHeadsThatShareKeys) {
  with_heads_that_share_keys(shape_of(70), [](const Problem& p) {
    for (const char* op : {"causal", "causal_backward"}) check(op, reals(p, Type::F32, 204, true));
  });
}

TEST(MomentumTraining, RefusesWhatItHasNot) {
  Problem moving = two_heads("momentum", 3);
  Arguments decoded("decode", reals(moving, Type::F32, 205));
  decoded.desc.variant = "momentum_training";
  expect_refused(decoded, LATHE_UNSUPPORTED, "no recurrence");
  Arguments stabilised("causal", reals(with_map(shape_of(3), "favor_performer"), Type::F32, 206));
  stabilised.desc.flags |= LATHE_STABILISE;
  expect_refused(stabilised, LATHE_UNSUPPORTED, "momentum_training");
  Arguments of_decay("causal_backward", reals(shape_of(3), Type::F32, 207));
  of_decay.tensors[LATHE_GRAD | LATHE_DECAY] = of_decay.tensors.at(LATHE_STEP_SIZE);
  expect_refused(of_decay, LATHE_UNSUPPORTED, "GRAD_DECAY");
  Arguments with_momentum("causal", reals(moving, Type::F32, 208, true));
  with_momentum.desc.variant = "momentum_training";
  expect_refused(with_momentum, LATHE_INVALID, "MOMENTUM_IN");
  Arguments without("causal", reals(shape_of(3), Type::F32, 209));
  without.tensors.erase(LATHE_STEP_SIZE);
  expect_refused(without, LATHE_INVALID, "STEP_SIZE");
}

}  // namespace
