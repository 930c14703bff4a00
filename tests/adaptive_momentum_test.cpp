// What momentum that adapts to its tokens promises beyond what every variant does.
#include <gtest/gtest.h>

#include <cmath>

#include "support/inputs.h"
#include "support/momenta.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(int64_t T = 150) { return two_heads("adaptive_momentum", T); }

// Values of one head with a key of 1, one number each.
Problem numbers(const std::vector<double>& v, double step_size) {
  Problem p;
  p.variant = "adaptive_momentum";
  p.T = static_cast<int64_t>(v.size());
  p.D = p.V = 1;
  p.q.assign(v.size(), 1);
  p.k = p.q;
  p.v = v;
  p.step_size = {step_size};
  return p;
}

// By hand, so that an error of the oracle does not pass for the library's success.
TEST(AdaptiveMomentum, KnownValues) {
  const double root = 1 - std::sqrt(0.25 * 2), first = -1, second = root * root * first - 0.25 * 3;
  for (const char* op : {"causal", "decode"}) {
    const Answer got = call(op, numbers({1, 3}, 0.25));
    EXPECT_EQ(got.o[0], 1) << op;
    EXPECT_NEAR(got.o[1], 1 - second, 1e-6) << op;
    EXPECT_NEAR(got.momentum[0], second, 1e-6) << op;
    EXPECT_EQ(got.last, (std::vector<double>{1, 3})) << op;
    // as far apart as this, no more is left than of tokens that are the same
    EXPECT_NEAR(call(op, numbers({1, 100}, 1)).momentum[0], -(1 - 1e-4) - 100, 1e-5) << op;
    EXPECT_NEAR(call(op, numbers({1, 1}, 1)).momentum[0], -(1 - 1e-4) - 1, 1e-6) << op;
  }
}

// ... whatever the step size is, and however the last token of no momentum looked.
TEST(AdaptiveMomentum, ATokenThatFindsNoneCountsWhole) {
  Problem p = reals(shape_of(1), Type::F32, 181, true);
  p.momentum.assign(p.momentum.size(), 0);
  Problem plain = p;
  plain.variant = "plain";
  plain.step_size.clear();
  for (const char* op : {"causal", "decode"}) {
    Answer got = call(op, p);
    const Answer want = call(op, plain);
    got.momentum.clear(), got.last.clear();
    expect_near(got, want, reference::causal(plain).size, Type::F32, 10, op);
  }
}

// A token of nothing ends what the one before it began: what stays is the plain scan.
TEST(AdaptiveMomentum, ByTurnsWithNothingIsThePlainScanToTheBit) {
  const Problem p = integers(shape_of(), 2, 182);
  Problem plain = p;
  plain.variant = "plain";
  plain.step_size.clear();
  for (const char* op : {"causal", "decode"}) {
    const Answer got = call(op, p), want = call(op, plain);
    expect_exact(got.o, want.o, Type::F32, op);
    expect_exact(got.state, want.state, Type::F32, op);
  }
}

// Tokens that are the same lie exactly nowhere apart: what is left is the most there can be, and a constant.
TEST(AdaptiveMomentum, OfTheSameTokensDecaysAsIfItWereSaid) {
  Problem p = reals(shape_of(), Type::F32, 183, true);
  const auto repeat = [&](std::vector<double>& x) {
    const size_t width = x.size() / static_cast<size_t>(p.T);
    for (size_t i = width; i < x.size(); ++i) x[i] = x[i - width];
  };
  repeat(p.k), repeat(p.v);
  p.last.clear();
  for (size_t h = 0; h < 2; ++h) {
    p.last.insert(p.last.end(), p.k.begin() + static_cast<std::ptrdiff_t>(h) * p.D,
                  p.k.begin() + static_cast<std::ptrdiff_t>(h + 1) * p.D);
    p.last.insert(p.last.end(), p.v.begin() + static_cast<std::ptrdiff_t>(h) * p.V,
                  p.v.begin() + static_cast<std::ptrdiff_t>(h + 1) * p.V);
  }
  Problem said = p;
  said.variant = "momentum";
  said.decay.assign(2, std::log(1 - 1e-4));
  said.last.clear();
  Answer size = reference::causal(said).size, want = reference::causal(said).value;
  for (const char* op : {"causal", "decode"}) {
    Answer got = call(op, p);
    got.last.clear();
    expect_near(got, want, size, Type::F32, static_cast<double>(p.T), op);  // each token rounds what it leaves
  }
}

// Their lengths cancel; what they differ by does not.
TEST(AdaptiveMomentum, OfTokensThatHardlyDiffer) {
  for (const double by : {0x1p-4, 0x1p-12, 0x1p-22}) {
    const Answer got = call("causal", numbers({1, 1 + by}, 0.5));
    const double root = 1 - std::sqrt(0.5 * by);
    EXPECT_NEAR(got.momentum[0], -std::min(root * root, 1 - 1e-4) - 0.5 * (1 + by), 2e-7) << by;
  }
}

// Squares leave the range of float32 long before the numbers do.
TEST(AdaptiveMomentum, OfAnySize) {
  for (const double size : {0x1p-80, 0x1p-65, 0x1p-40, 0x1p40, 0x1p70})
    for (const char* op : {"causal", "decode"}) {
      Problem p = reals(shape_of(40), Type::F32, 184, true);
      for (auto part : {&Problem::v, &Problem::state, &Problem::momentum})
        for (double& x : p.*part) x *= size;
      for (size_t i = 0; i < p.last.size(); ++i)
        if (i % static_cast<size_t>(p.D + p.V) >= static_cast<size_t>(p.D)) p.last[i] *= size;
      check(op, p);
      EXPECT_GT(reference::causal(p).size.state[0], 0);
    }
}

// The smallest numbers there are make a momentum, and are taken away whole.
TEST(AdaptiveMomentum, DenormalsCount) {
  Problem p = integers(shape_of(), 2, 185);
  for (double& x : p.k) x *= smallest_of(Type::F32);
  for (double& x : p.q) x *= 0x1p30;
  for (const char* op : {"causal", "decode"}) expect_exact(call(op, p), reference::causal(p).value, Type::F32, op);
}

TEST(AdaptiveMomentum, TheLastTokenCountsBesideAMomentumOnly) {
  Problem p = reals(shape_of(3), Type::F32, 186, true), other = p;
  for (double& x : other.last) x += 1;
  for (const char* op : {"causal", "decode"}) EXPECT_NE(call(op, p).o, call(op, other).o) << op;
  for (Problem* still : {&p, &other}) still->momentum.assign(p.momentum.size(), 0);
  for (const char* op : {"causal", "decode"}) expect_same(call(op, p), call(op, other), op);
}

TEST(AdaptiveMomentum, NormalisesHeadsThatShareKeys) {
  with_heads_that_share_keys(shape_of(70), [](const Problem& p) {
    for (const char* op : {"causal", "decode"}) check(op, reals(p, Type::F32, 187, true));
  });
}

// Each has denominators of its own: more of them than a chunk has tokens.
TEST(AdaptiveMomentum, MoreQueriesThanTokensOfAChunk) {
  Problem p = shape_of(3);
  p.HK = p.HV = 1;
  p.map = "elu1";
  p.normalise = true;
  p.eps = 1e-6;
  p.HQ = 2 * chunk_of("causal", reals(p, Type::F32, 188)) + 3;
  for (const char* op : {"causal", "decode"}) check(op, reals(p, Type::F32, 189, true));
}

TEST(AdaptiveMomentum, ComesAndGoesWithItsLastToken) {
  expect_together(reals(shape_of(3), Type::F32, 190, true),
                  {LATHE_STATE_IN, LATHE_MOMENTUM_IN, LATHE_LAST_TOKEN_IN, LATHE_STATE_OUT, LATHE_MOMENTUM_OUT,
                   LATHE_LAST_TOKEN_OUT});
}

TEST(AdaptiveMomentum, RefusesWhatItHasNot) {
  Arguments stabilised("causal", reals(with_map(shape_of(3), "favor_performer"), Type::F32, 191));
  stabilised.desc.flags |= LATHE_STABILISE;
  expect_refused(stabilised, LATHE_UNSUPPORTED, "adaptive_momentum");
  Problem said = two_heads("momentum", 3);
  Arguments gradient("causal_backward", reals(said, Type::F32, 192));
  gradient.desc.variant = "adaptive_momentum";
  expect_refused(gradient, LATHE_UNSUPPORTED, "no gradient");
  Arguments clamped("causal", reals(shape_of(3), Type::F32, 193));
  clamped.desc.flags |= LATHE_CLAMP_GATES;
  expect_refused(clamped, LATHE_INVALID, "no gates");
  Arguments decaying("causal", reals(shape_of(3), Type::F32, 194));
  decaying.tensors[LATHE_DECAY] = decaying.tensors.at(LATHE_STEP_SIZE);
  expect_refused(decaying, LATHE_INVALID, "DECAY");
  Arguments constant("causal", reals(shape_of(3), Type::F32, 195, true));
  constant.desc.variant = "momentum";
  constant.tensors[LATHE_DECAY] = constant.tensors.at(LATHE_STEP_SIZE);
  expect_refused(constant, LATHE_INVALID, "LAST_TOKEN_IN");
  Problem back = reals(shape_of(3), Type::F32, 196);
  back.step_size[1] = -0.5;
  expect_refused(Arguments("causal", back), LATHE_INVALID, "STEP_SIZE[1]: expected at least 0");
}

}  // namespace
