// What users of other libraries reported, where no other test holds it already: docs/lessons.md has the whole list.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(int64_t T) {
  Problem p;
  p.B = 2;
  p.HQ = p.HK = p.HV = 2;
  p.T = T;
  p.D = 20;
  p.V = 24;
  return p;
}

// exp of a positive difference, and zero times infinity where the difference should come before exp.
TEST(Lessons, Fla649TtMetal56550DecaysOfAnyStrength) {
  for (const double g : {-0.0, -1e-30, -87.4, -104.0, -1e4, -1e30, -3e38, -double{INFINITY}}) {
    for (const char* variant : {"decay", "gate", "gate_key", "rwkv6"}) {
      Problem p = shape_of(150);
      p.variant = variant;
      p.map = "elu1";
      p.normalise = true;
      p.eps = 1e-6;
      p = reals(p, Type::F32, 401, true);
      for (size_t h = 0; h < p.decay.size(); ++h) p.decay[h] = h == 0 ? rounded(Type::F32, g) : -0.01F;
      for (size_t i = 0; i < p.gate.size(); i += 3) p.gate[i] = rounded(Type::F32, g);
      for (const char* op : {"causal", "decode"}) check(op, p);
    }
  }
}

TEST(Lessons, Fla389ADecayOfOneIsNoDecay) {
  Problem p = shape_of(150);
  p.map = "elu1";
  p.normalise = true;
  p.eps = 1e-6;
  p = reals(p, Type::F32, 402, true);
  for (const char* variant : {"decay", "gate", "gate_key"}) {
    Problem decaying = p;
    decaying.variant = variant;
    decaying.decay.assign(decaying.variant == "decay" ? 2 : 0, 0);
    decaying.gate.assign(static_cast<size_t>(p.B * p.T * 2 * reference::gate_width(decaying)), 0);
    for (const char* op : {"causal", "decode"})
      expect_near(call(op, decaying), call(op, p), reference::causal(p).size, Type::F32, 2 * epsilons_of(p), op);
  }
}

// Sums of what relu lets through only grow: in the tensors' own type they would end at 65504, or stop counting at 256.
TEST(Lessons, Sana267SumsOverLongSequencesAreFloat32) {
  for (const Type type : {Type::F16, Type::BF16}) {
    Problem p = shape_of(4000);
    p.B = 1;
    p.map = "relu";
    p.normalise = true;
    p.eps = 1e-6;
    p = reals(p, type, 403);
    for (double& x : p.k) x = rounded(type, 8 * std::abs(x) + 8);
    for (double& x : p.v) x = rounded(type, 8 * std::abs(x) + 8);
    Options options;
    options.type = type;
    for (const char* op : {"causal", "noncausal"}) check(op, p, options);
    ASSERT_GT(call("causal", p, options).z.front(), 30000);
  }
}

// Steps that a half-precision state would round away, one decode at a time.
TEST(Lessons, Fla1187SmallStepsReachTheStateBesideHalfTensors) {
  for (const Type type : {Type::F16, Type::BF16}) {
    Problem p = shape_of(1);
    p.B = 1;
    p = reals(p, type, 404, true);
    p.state.assign(p.state.size(), 1);
    p.k.assign(p.k.size(), 0x1p-6);
    p.v.assign(p.v.size(), 0x1p-8);
    Options options;
    options.type = type;
    options.in_place = true;
    const Arguments arguments("decode", p, options);
    const Context& context = shared_context(1);
    const Plan plan(context, arguments);
    ASSERT_EQ(plan.status, LATHE_OK) << context.error();
    for (int i = 0; i < 512; ++i) ASSERT_EQ(run(context, plan, arguments), LATHE_OK);
    for (const double x : arguments.outputs().state) ASSERT_EQ(x, 1 + 512 * 0x1p-14);
  }
}

// No length in the key of a choice: nothing is tuned, or chosen anew, because a sequence grew.
TEST(Lessons, Fla1147Fla597OneChoiceForEveryLength) {
  for (const std::string& op : operators()) {
    const Context& context = shared_context(2);
    nlohmann::json first;
    for (const int64_t T : {1, 70, 5000}) {
      const Arguments arguments(op, reals(shape_of(T), Type::F32, 405, true));
      const Plan plan(context, arguments);
      ASSERT_EQ(plan.status, LATHE_OK) << context.error();
      if (first.is_null()) first = plan.describe();
      EXPECT_EQ(plan.describe(), first) << op << " of " << T;
    }
  }
}

// Speculative decoding: of four drafted tokens two are kept. What goes on from the second snapshot is what would have
// come without the other two.
TEST(Lessons, Vllm49887LlamaCpp28118RollBackToASnapshot) {
  for (const std::string& variant : reference::variant_names()) {
    Problem drafted = shape_of(4);
    drafted.variant = variant;
    drafted.map = "elu1";
    drafted.snapshots = true;
    drafted = reals(drafted, Type::F32, 406, true);
    const Answer draft = call("decode", drafted);
    Problem kept = tokens_of(drafted, 0, 2, nullptr), next = shape_of(1);
    kept.snapshots = false;
    const Answer without = call("decode", kept);
    next.variant = variant;
    next.map = "elu1";
    next = reals(next, Type::F32, 407, true);
    next.decay = drafted.decay;
    next.state = without.state;
    const Answer want = call("decode", next);
    next.state = rows_between(draft.snapshots, 2, 4, 1, 1);
    expect_same(call("decode", next), want, variant);
  }
}

// Which query stands at which key is not guessed where there are fewer of the one.
TEST(Lessons, Onnxruntime29020CausalRefusesFewerQueriesThanKeys) {
  for (const char* op : {"causal", "decode"}) {
    Problem p = shape_of(7);
    p.TQ = 3;
    const Arguments arguments(op, reals(p, Type::F32, 408));
    const Context& context = shared_context(1);
    const Plan plan(context, arguments);
    EXPECT_EQ(plan.status, LATHE_INVALID);
    const std::string error = context.error();
    EXPECT_TRUE(error.find("3 tokens") != error.npos && error.find("got 7") != error.npos) << error;
  }
}

}  // namespace
