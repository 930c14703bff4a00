// NaN, infinities, denormals and huge numbers: they come out where the recurrence says, and nowhere else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

// NaN where the oracle says NaN, and finite where it says finite. An infinity may come out as a NaN or the other way
// round: (q k) v and q (k v) differ when v is infinite, and both are the recurrence.
void expect_same_kinds(const std::vector<double>& got, const std::vector<double>& want, bool poison_is_nan,
                       const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    if (std::isfinite(got[i]) != std::isfinite(want[i]) ||
        (poison_is_nan && std::isnan(got[i]) != std::isnan(want[i]))) {
      ADD_FAILURE() << fmt::format("{}[{}] is {} and should be {}", what, i, got[i], want[i]);
      return;
    }
}

Problem problem_of(const std::string& map, bool normalise, Type type = Type::F32) {
  Problem p;
  p.HQ = p.HK = p.HV = 2;
  p.D = 9;
  p.V = 10;
  p.T = 75;
  p.normalise = normalise;
  p.eps = 1e-6;
  return reals(with_map(p, map), type, 81);
}

class Poisoned : public testing::TestWithParam<std::tuple<OpAndVariant, const char*, bool>> {};

TEST_P(Poisoned, SpreadsAsTheRecurrenceSays) {
  const auto& [op_and_variant, map, normalise] = GetParam();
  const auto& [op, variant] = op_and_variant;
  if (normalise && !reference::has_normaliser(variant)) return;
  Problem p = problem_of(map, normalise);
  p.variant = variant;
  p = reals(p, Type::F32, 81);
  for (const double poison : {double{NAN}, double{INFINITY}, -double{INFINITY}})
    for (const int64_t t : {int64_t{0}, int64_t{13}, int64_t{32}, p.T - 1})
      for (const auto part : reference::rows_of_tokens()) {
        Problem changed = p;
        const int64_t width = static_cast<int64_t>((p.*part).size()) / p.T;
        if (width == 0) continue;
        (changed.*part)[t * width + std::min<int64_t>(3, width - 1)] = legal(p, part, poison);
        const Answer got = call(op, changed), want = reference::operators().at(op)(changed).value;
        const std::string what = fmt::format("{} {} {} at {}", op, map, poison, t);
        expect_same_kinds(got.o, want.o, std::isnan(poison), what + ": o");
        expect_same_kinds(got.state, want.state, std::isnan(poison), what + ": state");
        if (normalise) expect_same_kinds(got.z, want.z, std::isnan(poison), what + ": z");
      }
}

std::vector<OpAndVariant> from_keys_to_outputs() {
  auto all = reference::operators_and_variants();
  std::erase_if(all, [](const OpAndVariant& op) { return op.first == "readout" || op.first == "accumulate"; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Ops, Poisoned,
                         testing::Combine(testing::ValuesIn(from_keys_to_outputs()),
                                          testing::Values("identity", "elu1", "relu"), testing::Bool()),
                         [](const auto& test) {
                           return fmt::format("{}_{}_{}", name_of(std::get<0>(test.param)), std::get<1>(test.param),
                                              std::get<2>(test.param) ? "normalised" : "bare");
                         });

class NanThroughMaps : public testing::TestWithParam<std::tuple<std::string, Type>> {};

// A NaN anywhere in one key must be seen in the state; a map that swallows it (max(x, 0) does) would give a plausible
// number.
TEST_P(NanThroughMaps, IsNeverSwallowed) {
  const auto& [map, type] = GetParam();
  Options options;
  options.type = type;
  Problem p = problem_of(map, false, type);
  p.T = 5;
  p = reals(p, type, 82);
  for (int64_t d = 0; d < p.D; ++d) {
    Problem poisoned = p;
    poisoned.k[2 * 2 * p.D + d] = NAN;  // token 2, head 0
    const Answer want = reference::causal(poisoned).value;
    const Answer got = call("causal", poisoned, options);
    expect_same_kinds(got.o, want.o, true, fmt::format("o, from {}", d));
    expect_same_kinds(got.state, want.state, true, fmt::format("state, from {}", d));
    EXPECT_GT(std::count_if(got.state.begin(), got.state.end(), [](double y) { return std::isnan(y); }), 0) << d;
  }
}

INSTANTIATE_TEST_SUITE_P(Maps, NanThroughMaps,
                         testing::Combine(testing::ValuesIn(reference::map_names()),
                                          testing::Values(Type::F32, Type::F16, Type::BF16)),
                         [](const auto& test) {
                           return fmt::format("{}_{}", std::get<0>(test.param), name_of(std::get<1>(test.param)));
                         });

class NumbersOf : public testing::TestWithParam<Type> {};

// The smallest numbers of a type are numbers: few enough of them add up exactly, and a large query shows them.
TEST_P(NumbersOf, DenormalsCount) {
  Options options;
  options.type = GetParam();
  Problem p = problem_of("identity", false, options.type);
  p = integers(p, 2, 83);
  for (double& x : p.k) x *= smallest_of(options.type);
  for (double& x : p.q) x *= options.type == Type::F16 ? 0x1p9 : 0x1p30;
  for (const char* op : {"causal", "noncausal", "decode"})
    expect_exact(call(op, p, options), reference::operators().at(op)(p).value, options.type, op);
}

// Products near the end of float32's range, which nothing along the way may exceed.
TEST_P(NumbersOf, HugeInputs) {
  Options options;
  options.type = GetParam();
  Problem p = problem_of("identity", false, options.type);
  const double large = options.type == Type::F16 ? 0x1p13 : 0x1p60;
  for (double& x : p.k) x = rounded(options.type, x * large);
  for (double& x : p.q) x = rounded(options.type, x / large);
  check("causal", p, options);
}

INSTANTIATE_TEST_SUITE_P(Types, NumbersOf, testing::Values(Type::F32, Type::F16, Type::BF16),
                         [](const auto& test) { return name_of(test.param); });

// An output beyond the range of its type is infinite, not the largest number and not garbage.
TEST(Float16, OverflowsToInfinity) {
  Options options;
  options.type = Type::F16;
  Problem p = problem_of("identity", false, Type::F16);
  p.T = 1;
  p.q.assign(static_cast<size_t>(2 * p.D), 300);
  p.k.assign(static_cast<size_t>(2 * p.D), 300);
  p.v.assign(static_cast<size_t>(2 * p.V), -1);
  for (const char* op : {"causal", "decode", "noncausal"})
    for (const double y : call(op, p, options).o) ASSERT_EQ(y, -INFINITY) << op;
}

// Where every feature is positive an infinite value leaves only infinities behind it; widths are padded with features
// of zero, and zero times infinity would be a NaN in the state that later chunks read.
TEST(InfiniteValues, MakeNoNanInLaterChunks) {
  for (const char* variant : {"plain", "momentum"})
    for (const char* op : {"causal", "noncausal", "decode"}) {
      Problem p = problem_of("elu1", false);
      p.T = 2 * chunk_of("causal", p) + 5;
      if (std::string(op) != "noncausal") p.variant = variant;
      p = reals(p, Type::F32, 85);
      for (double& size : p.step_size) size = std::abs(size);
      const int64_t t = 13, width = p.HV * p.V, column = 3;
      p.v[static_cast<size_t>(t * width + column)] = INFINITY;
      const Answer got = call(op, p);
      for (int64_t i = t; i < p.T; ++i)
        ASSERT_EQ(got.o[static_cast<size_t>(i * width + column)], INFINITY) << op << " " << variant << " at " << i;
    }
}

// Rounding adds to the bits, and a NaN of all ones must not run over into a zero.
TEST(Bfloat16, KeepsEveryNan) {
  Options options;
  options.type = Type::BF16;
  Problem p = problem_of("identity", false, Type::BF16);
  p.T = 3;
  p = reals(p, Type::BF16, 84, true);
  for (const char* op : {"causal", "decode", "noncausal"}) {
    const Arguments arguments(op, p, options);
    auto* state = static_cast<uint32_t*>(arguments.tensors.at(LATHE_STATE_IN)->view.data);
    std::fill_n(state, p.state.size(), 0x7fffffffU);
    const Plan plan(shared_context(1), arguments);
    ASSERT_EQ(run(shared_context(1), plan, arguments), LATHE_OK) << shared_context(1).error();
    for (const double y : arguments.outputs().o) ASSERT_TRUE(std::isnan(y)) << op << ": " << y;
  }
}

// Strong decay makes whole powers vanish; none of them may become NaN on the way.
TEST(Decay, FromOneToNothing) {
  for (const double g : {0.0, -1e-6, -1.0, -30.0, -200.0}) {
    Problem p = problem_of("identity", false);
    p.variant = "decay";
    p.decay = {rounded(Type::F32, g), rounded(Type::F32, g / 3)};
    for (const char* op : {"causal", "decode"}) check(op, p);
  }
}

// Sums of strong gates are large, and what follows them in the chunk is told from differences of such sums: those must
// not lose the digits of the weak ones.
TEST(Gates, StrongOnesBeforeWeakOnes) {
  for (const char* variant : {"gate", "gate_key", "rwkv6", "rwkv7", "gated_delta", "kda"})
    for (const double strong : {-3.0, -70.0, -1e4, -3e38, -double{INFINITY}}) {
      Problem p = problem_of("identity", false);
      p.variant = variant;
      p = reals(p, Type::F32, 85, true);
      const size_t stretch = 20 * static_cast<size_t>(reference::gate_width(p));
      for (size_t i = 0; i < p.gate.size(); ++i)
        p.gate[i] = rounded(Type::F32, i / stretch % 2 == 0 ? strong : -1e-3 * static_cast<double>(i % 7));
      for (const char* op : {"causal", "decode"}) check(op, p);
    }
}

// Nothing that a state waits for makes it larger than float32 has room for.
TEST(Gates, OfValuesNearTheEndOfTheirRange) {
  for (const char* variant : {"gate_key", "rwkv6"}) {
    Problem p = problem_of("identity", false);
    p.variant = variant;
    p = reals(p, Type::F32, 88, true);
    for (double& x : p.v) x = rounded(Type::F32, 1e36 * x);
    std::fill(p.gate.begin(), p.gate.end(), -0.5);
    check("causal", p);
  }
}

// Each option of steps alone, and none.
TEST(Steps, WithEachOptionAlone) {
  for (const auto option : {&Problem::dt, &Problem::dt_bias, &Problem::skip, &Problem::out_gate})
    for (const bool softplus : {false, true})
      for (const char* op : {"causal", "decode"}) {
        Problem p = problem_of("identity", false);
        p.variant = "ssd";
        p = reals(p, Type::F32, softplus ? 86 : 87, true);
        for (const auto other : {&Problem::dt_bias, &Problem::skip, &Problem::out_gate})
          if (other != option) (p.*other).clear();
        check(op, p);
      }
}

TEST(Steps, CountAsZeroBelowItWhereClamped) {
  Problem p = problem_of("elu1", true);
  p.variant = "ssd";
  p = reals(p, Type::F32, 87, true);
  for (double& dt : p.dt) dt = rounded(Type::F32, dt - 0.7);
  for (double& g : p.decay) g = 0.25;
  p.clamp = true;
  for (const char* op : {"causal", "decode"}) check(op, p);
}

Problem of_steps(std::vector<double> steps, bool softplus, double decay) {
  Problem p = problem_of("identity", false);
  p.variant = "ssd";
  p = reals(p, Type::F32, 86, true);
  p.softplus = softplus;
  p.dt_bias.clear();
  p.decay.assign(p.decay.size(), rounded(Type::F32, decay));
  for (size_t i = 0; i < p.dt.size(); ++i) p.dt[i] = steps[i % steps.size()];
  return p;
}

// From where log(1 + e^x) is e^x to where it is x.
TEST(Steps, OfAnySize) {
  for (const char* op : {"causal", "decode"}) check(op, of_steps({-200, -80, -20, -1, 0, 3, 30}, true, -0.3));
}

// Nothing else is there that could hide them.
TEST(Steps, SmallOnesCount) {
  for (const char* op : {"causal", "decode"}) {
    Problem p = of_steps({-20, -16.5, -18, -60}, true, -0.3);
    p.state.clear();
    p.skip.clear();
    check(op, p);
  }
}

TEST(Steps, AResetStandsStillWhereNoTimePasses) {
  for (const char* op : {"causal", "decode"}) check(op, of_steps({0, 0, 0, 1, 0}, false, -double{INFINITY}));
}

TEST(Lessons, Fla215GatesAboveZeroCountAsZeroWhereClamped) {
  for (const char* variant : {"decay", "gate", "gate_key", "rwkv7"}) {
    Problem p = problem_of("elu1", true);
    p.variant = variant;
    p.clamp = true;
    p = reals(p, Type::F32, 86, true);
    const std::vector<double> above = {0.5, double{INFINITY}, 1e-30};
    for (size_t i = 0; i < p.gate.size(); i += 3) p.gate[i] = above[i % above.size()];
    if (!p.decay.empty()) p.decay[1] = 7;
    for (const char* op : {"causal", "decode"}) check(op, p);
  }
}

// One gate for all heads, and one for all tokens: strides of zero.
TEST(Gates, Repeated) {
  Problem p = problem_of("identity", false);
  p.variant = "gate";
  p = reals(p, Type::F32, 87, true);
  for (size_t d = 1; d < 3; ++d) {
    Problem repeated = p;
    for (size_t i = 0; i < p.gate.size(); ++i) repeated.gate[i] = p.gate[d == 1 ? i % 2 : i / 2 * 2];
    for (const char* op : {"causal", "decode"}) {
      const Arguments arguments(op, repeated);
      arguments.tensors.at(LATHE_GATE)->strides[d] = 0;
      const Plan plan(shared_context(1), arguments);
      ASSERT_EQ(plan.status, LATHE_OK) << shared_context(1).error();
      ASSERT_EQ(run(shared_context(1), plan, arguments), LATHE_OK) << shared_context(1).error();
      expect_answer(arguments.outputs(), op, repeated);
    }
  }
}

}  // namespace
