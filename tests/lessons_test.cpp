// What users of other libraries reported; other files hold more of it beside what is like it, under the same name
// Lessons. docs/lessons.md has the whole list.
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

// One sequence whole, in pieces that hand their states on, and token by token.
TEST(Lessons, Fla494Fla547Fla20FormsOfARecurrenceAgree) {
  for (const std::string& variant : reference::recurrent_variants()) {
    Problem p = shape_of(150);
    p.variant = variant;
    p = reals(p, Type::F32, 409, true);
    const Answer whole = call("causal", p), size = reference::causal(p).size;
    Answer before = call("causal", tokens_of(p, 0, 70, nullptr));
    for (const char* op : {"causal", "decode"}) {
      const Answer after = call(op, tokens_of(p, 70, 80, &before));
      Answer split = whole;
      put_rows(split.o, after.o, p.B, p.T, 70, 80);
      split.state = after.state;
      expect_near(split, whole, size, Type::F32, 2 * epsilons_of(p), variant + " " + op);
    }
    expect_near(call("decode", p), whole, size, Type::F32, 2 * epsilons_of(p), variant);
  }
}

// A sum over the keys so far, a number for each of K features: lost at decode in one report, taken over V in another.
TEST(Lessons, Fla267Fla594NormaliserOfDecode) {
  for (const auto& [D, V] : {std::pair{20, 7}, {20, 20}, {32, 48}, {64, 33}}) {
    Problem p = shape_of(1);
    p.map = "elu1";
    p.D = D;
    p.V = V;
    p.normalise = true;
    p.eps = 1e-6;
    p = reals(p, Type::F32, 410, true);
    for (const char* op : {"decode", "causal"}) {
      check(op, p);
      Problem forgotten = p;
      forgotten.z.assign(p.z.size(), 0);
      EXPECT_NE(call(op, p).o, call(op, forgotten).o) << op;
    }
  }
}

TEST(Lessons, FlashAttention1537SequencesWithoutTokens) {
  for (const std::string& op : operators()) {
    Problem rows = shape_of(9), packed = rows;
    rows.lengths = {0, 9};
    check(op, reals(rows, Type::F32, 412, true));
    packed.B = 1;
    packed.cu_seqlens = {0, 0, 4, 4, 9, 9};
    check(op, reals(packed, Type::F32, 413, true));
    check(op, reals(shape_of(0), Type::F32, 414, true));
  }
}

TEST(Lessons, FastTransformers32HalfTypes) {
  for (const std::string& op : operators())
    for (const Type type : {Type::F16, Type::BF16}) {
      Options options;
      options.type = type;
      check(op, reals(shape_of(70), type, 415, true), options);
    }
}

// No multiple of 32, and above the 128 or 256 at which others end.
TEST(Lessons, MlxVlm2194FlashAttention67WidthsOfStates) {
  for (const std::string& op : operators())
    for (const auto& [D, V] : {std::pair{31, 31}, {33, 100}, {80, 65}, {257, 300}, {576, 40}}) {
      Problem p = shape_of(5);
      p.D = D;
      p.V = V;
      check(op, reals(p, Type::F32, 416, true));
    }
}

// Query head h reads key head h / 3 in most libraries, h % 2 in ggml.
TEST(Lessons, GgmlOnnxruntimeFlaBothOrdersOfGroupedQueries) {
  for (const std::string& op : operators()) {
    Problem p = shape_of(40);
    p.HQ = op == "accumulate" ? 2 : 6;
    p = reals(p, Type::F32, 417, true);
    Problem tiled = p;
    tiled.tiled = true;
    check(op, p);
    check(op, tiled);
    EXPECT_TRUE(op == "accumulate" || call(op, p).o != call(op, tiled).o) << op;
  }
}

// exp of a positive difference, and zero times infinity where the difference should come before exp.
TEST(Lessons, Fla649TtMetal56550DecaysOfAnyStrength) {
  for (const double g : {-0.0, -1e-30, -87.4, -104.0, -1e4, -1e30, -3e38, -double{INFINITY}}) {
    for (const char* variant : {"decay", "gate", "ssd", "gate_key", "rwkv6", "rwkv7", "gated_delta", "kda"}) {
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

// Each token turns the state round in a direction of its own: longer keys, or betas above 2, would make it grow without
// end.
TEST(Lessons, Fla99Fla736Fla537KeysOfAnyLengthInTheDeltaRule) {
  for (const char* variant : {"delta", "gated_delta", "kda"}) {
    Problem p = shape_of(1000);
    p.B = 1;
    p.variant = variant;
    p.unit_keys = p.reflects = true;
    p.eps = 1e-6;
    p = reals(p, Type::F32, 404);
    for (double& x : p.k) x = rounded(Type::F32, 8 * x);
    for (double& beta : p.beta) beta = 2;
    std::fill(p.gate.begin(), p.gate.end(), 0);
    for (const char* op : {"causal", "decode"}) check(op, p);
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
    check("noncausal", p, options);
    // tokens that come one after another, as they also do in decode: roundings of so many sums walk at random
    const Answer causal = call("causal", p, options);
    expect_close(causal, reference::operators().at("causal")(p), type, std::sqrt(4000) / 2, "causal");
    ASSERT_GT(causal.z.front(), 30000);
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
  for (const std::string& variant : reference::recurrent_variants()) {
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
