// Several keys for each token, mixed after the map or before it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/gradients.h"
#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(const std::string& variant, int64_t keys, bool first) {
  Problem p;
  p.variant = variant;
  p.keys = keys;
  p.mix_first = first;
  p.B = 2;
  p.T = 37;
  p.HQ = p.HK = p.HV = 2;
  p.D = 20;
  p.V = 12;
  p.scale = 0.5;
  p.eps = 1e-3;
  return p;
}

using Case = std::tuple<OpAndVariant, bool>;

class Mixtures : public testing::TestWithParam<Case> {
 protected:
  const std::string op = std::get<0>(GetParam()).first, variant = std::get<0>(GetParam()).second;
  const bool first = std::get<1>(GetParam());
  Problem shape(int64_t keys) const { return shape_of(variant, keys, first); }
};

TEST_P(Mixtures, AreTheOracles) {
  const std::vector<std::string> few = {"identity", "elu1"},
                                 all = {"identity", "elu1", "favor", "taylor2", "cosformer"};
  // maps know nothing of variants
  for (const std::string& map : variant == "plain" ? all : few)
    for (const int64_t keys : {2, 3}) {
      if (keys == 3 && variant != "plain") continue;
      Problem p = shape(keys);
      p.normalise = keys == 2 && reference::has_normaliser(variant);
      p = with_map(p, map);
      if (p.M > 0) p.T = 21;  // each projection is moved for all tokens
      check(op, reals(p, Type::F32, 171, true));
    }
}

TEST_P(Mixtures, OfEveryTypeWhereverTheyLie) {
  for (const Type type : {Type::F32, Type::F16, Type::BF16})
    for (const Layout layout : {Layout::Bthd, Layout::Bhtd, Layout::Gapped, Layout::Reversed})
      for (const int64_t width : {20, 32}) {
        // how rows are read knows nothing of variants
        if (variant != "plain" && (width == 20 || layout != (type == Type::F32 ? Layout::Reversed : Layout::Bhtd)))
          continue;
        Problem p = shape(2);
        p.T = chunk_of(op, reals(p, type, 1)) + 2;
        p.D = width;
        p.map = "elu1";
        Options options;
        options.type = type;
        options.layout = layout;
        check(op, reals(p, type, 172), options);
      }
}

TEST_P(Mixtures, OfHeadsThatShareKeys) {
  for (const auto& [HQ, HV] : {std::pair<int64_t, int64_t>{4, 2}, {2, 4}, {6, 6}})
    for (const bool tiled : {false, true}) {
      if (tiled && variant != "plain") continue;
      Problem p = shape(2);
      p.HQ = HQ;
      p.HV = HV;
      p.tiled = tiled;
      p.map = "elu1";
      check(op, reals(p, Type::F32, 173, true));
    }
}

TEST_P(Mixtures, PackedAndWithLengths) {
  Problem p = shape(2);
  p.map = "elu1";
  p.lengths = {0, 33};
  check(op, reals(p, Type::F32, 174, true));
  p.B = 1;
  p.lengths.clear();
  p.cu_seqlens = {0, 1, 1, 20, 37};
  check(op, reals(p, Type::F32, 175, true));
}

// Two tensors of keys, as two projections make them: the axis of the mixture is the outermost in memory.
TEST_P(Mixtures, OfTensorsFarApart) {
  const Problem p = reals(shape(2), Type::F32, 176, true);
  Arguments arguments(op, p);
  for (const uint32_t role : {uint32_t{LATHE_K}, uint32_t{LATHE_GRAD | LATHE_K}}) {
    if (!arguments.tensors.contains(role)) continue;
    const Extents shape = {p.B, p.T, p.HK, p.keys, p.D};
    const Extents strides = {p.T * p.HK * p.D, p.HK * p.D, p.D, p.B * p.T * p.HK * p.D, 1};
    auto apart = std::make_shared<Tensor>(Type::F32, shape, strides, Edge::Last);
    if (role == LATHE_K) apart->write(p.k);
    arguments.tensors[role] = apart;
  }
  const Arguments together(op, p);
  perform(arguments, {});
  perform(together, {});
  expect_same(arguments.outputs(), together.outputs(), op);
}

TEST_P(Mixtures, SameBitsWhateverTheThreads) {
  Problem p = shape(2);
  p.map = "elu1";
  p.normalise = reference::has_normaliser(variant);
  p = reals(p, Type::F32, 177, true);
  Options several;
  several.threads = 3;
  several.free_extents = true;
  expect_same(call(op, p, several), call(op, p), "3 threads");
}

std::vector<OpAndVariant> cases() {
  std::vector<OpAndVariant> all;
  for (const auto& [op, variant] : reference::operators_and_variants()) {
    if (op == "readout") continue;
    all.emplace_back(op, variant);
    if ((op == "causal" || op == "noncausal") && reference::has_gradient(variant))
      all.emplace_back(backward_of(op), variant);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Ops, Mixtures, testing::Combine(testing::ValuesIn(cases()), testing::Bool()),
                         [](const auto& test) {
                           return fmt::format("{}_{}", name_of(std::get<0>(test.param)),
                                              std::get<1>(test.param) ? "first" : "last");
                         });

TEST(MixturesOfIntegers, AreExact) {
  for (const bool first : {false, true})
    for (const char* map : {"identity", "relu"}) {
      Problem p = shape_of("plain", 3, first);
      p.map = map;
      p = integers(p, 2, 178, true);
      for (const char* op : {"causal", "decode", "noncausal", "accumulate"})
        expect_exact(call(op, p), reference::operators().at(op)(p).value, Type::F32, op);
    }
}

TEST(MixturesOfIntegers, HaveExactGradients) {
  for (const bool first : {false, true}) {
    const Problem p = integers(shape_of("plain", 3, first), 2, 178, true);
    const Given given = given_integers(p, 2, 179, true);
    expect_exact(call_backward("causal", p, given), reference::backward(p, given, true).value, Type::F32, "identity");
  }
}

// Said once by hand: pi_1 phi(k_1) + pi_2 phi(k_2), and phi(pi_1 k_1 + pi_2 k_2).
TEST(MixturesOfIntegers, BySum) {
  Problem p = shape_of("plain", 2, false);
  p.B = p.T = p.HQ = p.HK = p.HV = p.D = p.V = 1;
  p.map = "relu";
  p.k = {5, -2};
  p.v = p.q = {1};
  p.mixture = {0.5, 2};
  EXPECT_EQ(call("accumulate", p).state, std::vector<double>{2.5});
  p.mix_first = true;
  p.k = {6, -1};
  EXPECT_EQ(call("accumulate", p).state, std::vector<double>{1});
}

TEST(MixturesOf, OfASingleKeyOfWeightOneAreThatKey) {
  for (const bool first : {false, true}) {
    Problem p = shape_of("plain", 1, first);
    p.map = "elu1";
    Problem mixed = p = reals(p, Type::F32, 180, true);
    mixed.mixture.assign(2, 1);
    p.mix_first = false;
    for (const char* op : {"causal", "decode", "noncausal"}) expect_same(call(op, mixed), call(op, p), op);
  }
}

// The gradients of keys and of weights, against slopes of the loss.
TEST(MixturesOf, OracleIsTheSlopeOfTheForwardOracle) {
  for (const bool first : {false, true}) {
    Problem p = shape_of("plain", 2, first);
    p.B = 1;
    p.T = 4;
    p.D = 3;
    p.V = 2;
    p.map = "silu";
    p = reals(p, Type::F32, 181, true);
    const Given given = given_reals(p, Type::F32, 182, true);
    const auto loss = [&](const Problem& at) {
      const Answer a = reference::causal(at).value;
      double sum = 0;
      for (size_t i = 0; i < given.o.size(); ++i) sum += given.o[i] * a.o[i];
      for (size_t i = 0; i < given.state.size(); ++i) sum += given.state[i] * a.state[i];
      return sum;
    };
    const Gradients all = reference::backward(p, given, true).value;
    for (const auto& [input, gradient] : {std::pair{&Problem::k, &all.k}, std::pair{&Problem::mixture, &all.mixture}})
      for (size_t i = 0; i < (p.*input).size(); ++i) {
        constexpr double step = 1e-6;
        Problem above = p, below = p;
        (above.*input)[i] += step;
        (below.*input)[i] -= step;
        const double slope = (loss(above) - loss(below)) / (2 * step);
        EXPECT_NEAR((*gradient)[i], slope, 1e-6 * (1 + std::abs(slope))) << i;
      }
  }
}

TEST(MixturesOf, RefuseWhatDoesNotGoWithThem) {
  const auto refused = [](const Arguments& arguments, const char* word) {
    EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_INVALID) << word;
    EXPECT_NE(shared_context(1).error().find(word), std::string::npos) << shared_context(1).error();
  };
  const Problem p = reals(shape_of("plain", 2, false), Type::F32, 183);
  Arguments without("causal", p);
  without.tensors.erase(LATHE_MIXTURE);
  refused(without, "MIXTURE: expected one");
  Arguments single("causal", p);
  const Arguments plain("causal", reals(shape_of("plain", 1, false), Type::F32, 183));
  single.tensors[LATHE_K] = plain.tensors.at(LATHE_K);
  refused(single, "K: expected 5 dimensions");
  Arguments alone("causal", reals(shape_of("plain", 1, true), Type::F32, 183));
  refused(alone, "MIX_FIRST");
  Arguments stabilised("causal", reals(with_map(shape_of("plain", 2, false), "favor_performer"), Type::F32, 184));
  stabilised.desc.flags |= LATHE_STABILISE;
  refused(stabilised, "MIXTURE: expected none beside the flag STABILISE");
}

}  // namespace
