// What a row that reads the state and another that adds what it read promise beyond what every variant does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(int64_t T = 150) { return two_heads("rwkv7", T); }

// A row of zeros reads nothing: gates of each key are all that is left.
TEST(Rwkv7, ThatReadsNothingIsTheGatedScan) {
  Problem p = integers(shape_of(), 2, 171, true);
  std::fill(p.a.begin(), p.a.end(), 0);
  Problem gated = p;
  gated.variant = "gate_key";
  gated.a.clear(), gated.b.clear();
  for (const char* op : {"causal", "decode"}) expect_exact(call(op, p), call(op, gated), Type::F32, op);
}

// The key reads, and what it read is taken away along it.
TEST(Rwkv7, ThatTakesAwayAlongTheKeyIsTheDeltaRule) {
  Problem delta = shape_of();
  delta.variant = "delta";
  delta = integers(delta, 2, 172, true);
  Problem p = delta;
  p.variant = "rwkv7";
  p.beta.clear();
  p.a = p.b = p.k;
  p.gate.assign(p.k.size(), 0);
  for (size_t i = 0; i < p.k.size(); ++i) {
    const double beta = delta.beta[i / static_cast<size_t>(p.D)];
    p.b[i] *= -beta;
    p.k[i] *= beta;
  }
  for (const char* op : {"causal", "decode"}) expect_exact(call(op, p), call(op, delta), Type::F32, op);
}

// What is read is what was there before the token, even where nothing of it is left.
TEST(Rwkv7, ReadsTheStateThatAResetForgets) {
  Problem p = integers(shape_of(1), 2, 173, true);
  const auto K = static_cast<size_t>(p.D), V = static_cast<size_t>(p.V);
  std::fill(p.gate.begin(), p.gate.end(), -INFINITY);
  std::fill(p.k.begin(), p.k.end(), 0);
  for (auto part : {&p.a, &p.b}) std::fill(part->begin(), part->end(), 0);
  p.a[3] = p.b[5] = 1;
  for (const char* op : {"causal", "decode"}) {
    const std::vector<double> state = call(op, p).state;
    for (size_t i = 0; i < 2 * K * V; ++i)
      EXPECT_EQ(state[i], i / V == 5 ? p.state[3 * V + i % V] : 0) << op << " " << i;
  }
}

// Rows that have nothing to do with each other or with keys, as any DPLR may bring.
TEST(Rwkv7, AnyRows) {
  for (const Type type : {Type::F32, Type::F16, Type::BF16}) {
    Problem p = reals(shape_of(12), type, 174, true);
    std::mt19937_64 bits(175);
    std::normal_distribution<double> normal;
    for (auto part : {&p.a, &p.b})
      for (double& x : *part) x = rounded(type, 0.2 * normal(bits));
    Options options;
    options.type = type;
    for (const char* op : {"causal", "decode"}) check(op, p, options);
  }
}

// Nothing decays, and each token takes away all that there is along a direction of its own, or turns it round.
TEST(Rwkv7, StatesStayBounded) {
  for (const double rate : {0.0, 1.0, 2.0}) {
    Problem p = reals(shape_of(1000), Type::F32, 176, true);
    std::fill(p.gate.begin(), p.gate.end(), 0);
    for (size_t i = 0; i < p.a.size(); ++i) p.b[i] = rounded(Type::F32, -rate * p.a[i]);
    for (const char* op : {"causal", "decode"}) check(op, p);
  }
}

// Each has products of its own with the keys and with B: more of them than a chunk has tokens.
TEST(Rwkv7, MoreQueriesThanTokensOfAChunk) {
  Problem p = shape_of(3);
  p.HK = p.HV = 1;
  p.HQ = 2 * chunk_of("causal", reals(p, Type::F32, 177)) + 3;
  for (const char* op : {"causal", "decode"}) check(op, reals(p, Type::F32, 178, true));
}

TEST(Rwkv7, RefusesWhatItHasNot) {
  for (const uint64_t flag : {LATHE_NORMALISE, LATHE_STABILISE}) {
    Problem p = shape_of(3);
    if (flag == LATHE_STABILISE) p = with_map(p, "favor_performer");
    Arguments arguments("causal", reals(p, Type::F32, 179));
    arguments.desc.flags |= flag;
    EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_UNSUPPORTED);
    EXPECT_NE(shared_context(1).error().find("rwkv7"), std::string::npos) << shared_context(1).error();
  }
  Problem gated = shape_of(3);
  gated.variant = "gate_key";
  Arguments gradient("causal_backward", reals(gated, Type::F32, 180));
  gradient.desc.variant = "rwkv7";
  EXPECT_EQ(Plan(shared_context(1), gradient).status, LATHE_UNSUPPORTED);
  EXPECT_NE(shared_context(1).error().find("no gradient"), std::string::npos) << shared_context(1).error();
  Arguments unit("causal", reals(shape_of(3), Type::F32, 181));
  unit.desc.flags |= LATHE_UNIT_KEYS;
  EXPECT_EQ(Plan(shared_context(1), unit).status, LATHE_INVALID);
}

}  // namespace
