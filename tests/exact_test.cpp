// Small integers through the identity map: every sum is exact in float32, so the answer must be right to the bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "support/inputs.h"
#include "support/shape_table.h"
#include "support/tolerance.h"

namespace {

using namespace support;

using Case = std::tuple<OpAndVariant, Type>;

std::string printed(const testing::TestParamInfo<Case>& test) {
  return fmt::format("{}_{}", name_of(std::get<0>(test.param)), name_of(std::get<1>(test.param)));
}

class Exact : public testing::TestWithParam<Case> {
 protected:
  const std::string op = std::get<0>(GetParam()).first;
  const Problem shape = [] {
    Problem p;
    p.variant = std::get<0>(GetParam()).second;
    p.B = 2;
    p.HQ = p.HK = p.HV = 2;
    p.D = 20;
    p.V = 24;
    return p;
  }();
  Options options = [] {
    Options s;
    s.type = std::get<1>(GetParam());
    return s;
  }();

  std::vector<int64_t> lengths(const Problem& p) const {
    return token_counts(op == "decode" ? 2 : chunk_of(op, p, options));
  }

  void expect_exact_answer(const Problem& p) const {
    expect_exact(call(op, p, options), reference::operators().at(op)(p).value, options.type,
                 Arguments(op, p, options).text());
  }
};

TEST_P(Exact, FromZero) {
  Problem p = shape;
  for (const int64_t T : lengths(integers(p, 1, 1))) {
    p.T = T;
    expect_exact_answer(integers(p, 2, 7));
  }
}

TEST_P(Exact, FromAState) {
  Problem p = shape;
  for (const int64_t T : lengths(integers(p, 1, 1))) {
    p.T = T;
    expect_exact_answer(integers(p, 2, 8, true));
  }
}

TEST_P(Exact, Scaled) {
  Problem p = shape;
  p.T = 9;
  p.scale = 0.25;
  expect_exact_answer(integers(p, 2, 9, true));
}

// With a bound above every denominator that occurs, the division is by a power of two.
TEST_P(Exact, DividedByTheBound) {
  Problem p = shape;
  p.T = 9;
  p.normalise = p.denom_max = true;
  p.eps = 4096;
  expect_exact_answer(integers(p, 2, 10, true));
}

INSTANTIATE_TEST_SUITE_P(Ops, Exact,
                         testing::Combine(testing::ValuesIn(reference::operators_and_variants()),
                                          testing::Values(Type::F32, Type::F16, Type::BF16)),
                         printed);

// Half of the state, or all of it: the float32 nearest to -ln 2 is so near that eight of them still make a power of
// two. Nothing is negative, so that no sum cancels.
TEST(ExactGates, OfOneHalf) {
  Problem p;
  p.variant = "gate";
  p.T = 8;
  p.HQ = p.HK = p.HV = 2;
  p.D = 20;
  p.V = 24;
  p = integers(p, 2, 14, true);
  for (auto part : {&Problem::q, &Problem::k, &Problem::v, &Problem::state})
    for (double& x : p.*part) x = std::abs(x);
  for (double& g : p.gate) g = std::isinf(g) ? 0 : -std::numbers::ln2;
  for (const char* op : {"causal", "decode"})
    expect_exact(call(op, p), reference::operators().at(op)(p).value, Type::F32, op);
}

// Accumulating two halves and reading out is the non-causal operator on the whole.
TEST(ExactParts, AccumulateTwiceThenReadOut) {
  Problem p;
  p.B = 2;
  p.HQ = p.HK = p.HV = 2;
  p.D = 20;
  p.V = 24;
  p.T = 37;
  p = integers(p, 2, 12);
  const Answer whole = call("noncausal", p);
  const Answer first = call("accumulate", tokens_of(p, 0, 20, nullptr));
  const Answer second = call("accumulate", tokens_of(p, 20, 17, &first));
  Problem reading = p;
  reading.state = second.state;
  expect_same(call("readout", reading).o, whole.o, "o");
}

// Walks of this many small steps stay far inside the integers of float32.
TEST(ExactLength, AMillionTokens) {
  Problem p;
  p.T = 1'000'000;
  p.D = 3;
  p.V = 2;
  p = integers(p, 1, 13, true);
  for (const char* op : {"causal", "noncausal"})
    expect_exact(call(op, p), reference::operators().at(op)(p).value, Type::F32, op);
}

}  // namespace
