// What the delta rule promises beyond what every variant does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "support/gradients.h"
#include "support/inputs.h"
#include "support/roles.h"
#include "support/tolerance.h"

namespace {

using namespace support;

class Delta : public testing::TestWithParam<std::string> {
 protected:
  // The gradients too.
  static void check_both_ways(const Problem& p, const Options& options = {}) {
    for (const char* op : {"causal", "decode"}) check(op, p, options);
    check_backward("causal", p, given_reals(p, options.type, 150, true), options);
  }
  // One unit vector for each head, with some noise at each token, and one number to go by.
  Problem along_one_key(double noise, double beta) const {
    Problem p = two_heads(GetParam());
    p.reflects = true;
    p = reals(p, Type::F32, 151, true);
    std::mt19937_64 bits(152);
    std::normal_distribution<double> normal;
    const auto width = static_cast<size_t>(p.HK * p.D);
    for (size_t i = width; i < p.k.size(); ++i) p.k[i] = p.k[i % width] + noise * normal(bits);
    for (auto row = p.k.begin(); row < p.k.end(); row += p.D) {
      double square = 0;
      for (auto x = row; x < row + p.D; ++x) square += *x * *x;
      for (auto x = row; x < row + p.D; ++x) *x = rounded(Type::F32, *x / std::sqrt(square));
    }
    p.beta.assign(p.beta.size(), rounded(Type::F32, beta));
    return p;
  }
};

TEST_P(Delta, KeysThatAreNearlyParallel) {
  for (const double noise : {0.0, 1e-6, 1e-3, 0.1})
    for (const double beta : {0.5, 1.0, 1.5, 1.999, 2.0}) check_both_ways(along_one_key(noise, beta));
}

// Of all that was written for one key the last is read back, to the bit.
TEST_P(Delta, OneKeyRemembersItsLastValue) {
  Problem p = integers(two_heads(GetParam()), 2, 153, true);
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
      Problem p = two_heads(GetParam(), 3);
      if (flag == LATHE_STABILISE) p = with_map(p, "favor_performer");
      Arguments arguments(op, reals(p, Type::F32, 154));
      arguments.desc.flags |= flag;
      EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_UNSUPPORTED);
      EXPECT_NE(shared_context(1).error().find(GetParam()), std::string::npos) << shared_context(1).error();
    }
}

// Twice the way to the value, and the state swings about it.
TEST_P(Delta, ReflectionsAreExact) {
  Problem p = integers(two_heads(GetParam()), 2, 154, true);
  p.reflects = true;
  for (auto row = p.k.begin(); row < p.k.end(); row += p.D)
    for (auto x = row + 1; x < row + p.D; ++x)
      if (*row != 0) *x = 0;
  for (size_t i = 0; i < p.beta.size(); ++i) {
    const auto row = p.k.begin() + static_cast<std::ptrdiff_t>(i) * p.D;
    double square = 0;
    for (auto x = row; x < row + p.D; ++x) square += *x * *x;
    if (square == 1) p.beta[i] = static_cast<double>(i % 3);
  }
  for (const char* op : {"causal", "decode"})
    expect_exact(call(op, p), reference::operators().at(op)(p).value, Type::F32, op);
}

TEST_P(Delta, OptionsAloneAndTogether) {
  for (int options = 0; options < 16; ++options)
    for (const Type type : {Type::F32, Type::BF16})
      for (const char* map : {"identity", "elu1"}) {
        Problem p = two_heads(GetParam(), 40);
        p.map = map;
        p.scale = 0.3;
        p.eps = type == Type::F32 ? 0.5 : 1e-6;  // of a length, too
        p.unit_keys = options & 1;
        p.unit_queries = options & 2;
        p.sigmoid = options & 4;
        p.reflects = options & 8;
        Options o;
        o.type = type;
        check_both_ways(reals(p, type, 155, true), o);
      }
}

// The squares of these are not float32 numbers, or hardly; and no direction at all stays none.
TEST_P(Delta, KeysOfAnyLengthAreMadeUnits) {
  for (const double size : {1e-15, 1e-3, 1e3, 1e15}) {
    Problem p = two_heads(GetParam());
    p.unit_keys = p.unit_queries = true;
    p = reals(p, Type::F32, 156, true);
    for (auto part : {&Problem::k, &Problem::q})
      for (double& x : p.*part) x = rounded(Type::F32, x * size);
    std::fill_n(p.k.begin() + 9 * p.HK * p.D, p.D, 0);
    for (const char* op : {"causal", "decode"}) check(op, p);
  }
}

TEST_P(Delta, BetasOutOfRangeAreClamped) {
  for (const bool reflects : {false, true}) {
    Problem p = two_heads(GetParam());
    p.clamp = p.unit_keys = true;
    p.reflects = reflects;
    p = reals(p, Type::F32, 157, true);
    for (double& beta : p.beta) beta = rounded(Type::F32, 6 * beta - 2);
    check_both_ways(p);
  }
}

// One at a time, and gradients of nothing else: what is not asked for changes nothing in what is.
TEST_P(Delta, GradientsThatAreNotAskedForChangeNoOther) {
  Problem p = two_heads(GetParam(), 70);
  p.HQ = p.HV = 4;
  p.unit_keys = p.unit_queries = true;
  p.eps = 1e-6;
  p = reals(p, Type::F32, 159, true);
  const Given given = given_reals(p, Type::F32, 160, true);
  const Gradients whole = call_backward("causal", p, given);
  for (const auto& [role, part] : {std::pair{LATHE_Q, &Gradients::q},
                                   {LATHE_K, &Gradients::k},
                                   {LATHE_V, &Gradients::v},
                                   {LATHE_BETA, &Gradients::beta},
                                   {LATHE_GATE, &Gradients::gate},
                                   {LATHE_STATE_IN, &Gradients::state}}) {
    Arguments arguments("causal_backward", p, {}, &given);
    if (!arguments.tensors.contains(static_cast<uint32_t>(role))) continue;
    std::erase_if(arguments.tensors, [&, role = role](const auto& one) {
      return roles().at(one.first).output && one.first != (LATHE_GRAD | static_cast<uint32_t>(role));
    });
    perform(arguments, {});
    const std::vector<double> got = arguments.gradients().*part;
    // dK of gated tokens goes another way round to the same sum
    double most = 0;
    for (size_t i = 0; i < got.size(); ++i) most = std::max(most, std::abs((whole.*part)[i]));
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], (whole.*part)[i], 1e-5 * most) << role << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Delta, testing::Values("delta", "gated_delta", "kda"),
                         [](const auto& test) { return test.param; });

}  // namespace
