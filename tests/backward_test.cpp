// Gradients: against the float64 oracle, exactly on small integers, and the oracle against finite differences.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "reference/maps.h"
#include "support/gradients.h"
#include "support/inputs.h"
#include "support/shape_table.h"
#include "support/tolerance.h"

namespace {

using namespace support;

// causal under each variant, and noncausal.
std::vector<OpAndVariant> cases() {
  std::vector<OpAndVariant> all;
  for (const auto& [op, variant] : reference::operators_and_variants()) {
    if ((op == "causal" || op == "noncausal") && reference::has_gradient(variant)) all.emplace_back(op, variant);
  }
  return all;
}

class Backward : public testing::TestWithParam<OpAndVariant> {
 protected:
  const std::string op = GetParam().first;
  Problem shape = [] {
    Problem p;
    p.variant = GetParam().second;
    p.B = 2;
    p.T = 37;
    p.HQ = p.HK = p.HV = 2;
    p.D = 20;
    p.V = 12;
    return p;
  }();
  int64_t chunk() const { return chunk_of(op, reals(shape, Type::F32, 1)); }
  bool may_normalise(const Problem& p) const { return p.variant == "plain" || p.HK == p.HV; }
  void expect(const Problem& p, uint64_t seed, const Options& options = {}) const {
    check_backward(op, p, given_reals(p, options.type, seed, true), options);
  }
};

TEST_P(Backward, ExactOnIntegers) {
  for (const int64_t T : token_counts(chunk())) {
    shape.T = T;
    const Problem p = integers(shape, 2, 3, true);
    const Given given = given_integers(p, 2, 4, true);
    expect_exact(call_backward(op, p, given), reference::backward(p, given, op == "causal").value, Type::F32,
                 Arguments(backward_of(op), p, {}, &given).text());
  }
}

TEST_P(Backward, Shapes) {
  for (const Shape& s : test_shapes(chunk())) {
    if (s.problem.D > 200 || s.problem.V > 200) continue;  // below, on few tokens
    Problem p = s.problem;
    p.variant = shape.variant;
    Options options;
    options.layout = s.layout;
    for (const bool normalise : {false, true}) {
      if (normalise && !may_normalise(p)) continue;
      p.normalise = normalise;
      p.map = normalise ? "elu1" : "identity";
      p.eps = 1e-6;
      for (const bool tiled : {false, true}) {
        p.tiled = tiled;
        expect(reals(p, Type::F32, 5, true), 6, options);
        if (p.HQ == p.HK && p.HV == p.HK) break;
      }
    }
  }
}

TEST_P(Backward, Wide) {
  for (Shape s : shapes("wide", chunk())) {
    s.problem.variant = shape.variant;
    expect(reals(s.problem, Type::F32, 5), 6);
  }
}

// More keys than columns.
TEST_P(Backward, WideningMaps) {
  shape.T = 21;
  for (const std::string map : {"dpfp", "favor"})
    for (const bool normalise : {false, true}) {
      Problem p = shape;
      p.normalise = normalise;
      p.eps = 1e-3;
      p = with_map(p, map);
      p.scale = 0.5;
      expect(reals(p, Type::F32, 8, true), 9);
    }
}

// Gradients of maps know nothing of variants.
class GradientsOfMaps : public Backward {};

TEST_P(GradientsOfMaps, AreTheOracles) {
  shape.T = 21;
  for (const std::string& map : reference::map_names())
    for (const bool normalise : {false, true}) {
      Problem p = shape;
      p.normalise = normalise;
      p.eps = 1e-3;
      p = with_map(p, map);
      p.scale = 0.5;
      expect(reals(p, Type::F32, 8, true), 9);
    }
}

// Tiles of the kernels that project need not be as wide as those that map.
TEST_P(GradientsOfMaps, OfMoreProjectionsThanATileHas) {
  shape.B = shape.HQ = shape.HK = shape.HV = 1;
  shape.T = 7;
  for (const int64_t M : {100, 136}) {
    Problem p = with_map(shape, "favor_performer");
    p.D = 3;
    p.M = M;
    p = reals(p, Type::F32, 24);
    const Given given = given_reals(p, Type::F32, 25, false);
    expect_close(call_backward(op, p, given), bounded_by_largest(reference::backward(p, given, op == "causal"), 1), {},
                 100, fmt::format("{} projections", M));
  }
}

// Rows that kernels read and write where the caller has them end at the guard pages.
TEST_P(GradientsOfMaps, InPlace) {
  shape.T = chunk();
  Options options;
  options.layout = Layout::Bhtd;
  for (const std::string& map : reference::map_names()) {
    Problem p = with_map(shape, map);
    p.D = 16;
    expect(reals(p, Type::F32, 8), 9, options);
  }
}

TEST_P(Backward, Types) {
  shape.map = "elu1";
  for (const Type type : {Type::F16, Type::BF16})
    for (const Layout layout : {Layout::Bthd, Layout::Bhtd, Layout::Reversed}) {
      Options options;
      options.type = type;
      options.layout = layout;
      expect(reals(shape, type, 10, true), 11, options);
    }
}

TEST_P(Backward, DenominatorsAtLeastEps) {
  shape.normalise = shape.denom_max = true;
  shape.eps = 30;
  shape.map = "elu1";
  expect(reals(shape, Type::F32, 12), 13);
}

// Rows of a chunk that are no token's have denominators of 0.
TEST_P(Backward, DenominatorsWithoutEps) {
  if (!reference::has_normaliser(shape.variant)) return;
  shape.normalise = true;
  shape.eps = 0;
  shape.lengths = {37, 5};
  for (const char* map : {"elu1", "favor"}) expect(reals(with_map(shape, map), Type::F32, 26, true), 27);
}

// Rows of a chunk that are no token's take nothing from what passes by them.
TEST_P(Backward, ShortSequencesInLongChunks) {
  if (!reference::has_normaliser(shape.variant)) return;
  shape.normalise = true;
  shape.eps = 1e-6;
  shape.lengths = {37, 5};
  for (unsigned seed = 30; seed < 50; seed++)
    expect(reals(with_map(shape, "elu1"), Type::F32, 2 * seed, true), 2 * seed + 1);
}

// A gate above 0 counts as 0, and moves nothing.
TEST_P(Backward, ClampedGates) {
  shape.clamp = shape.variant != "plain";
  Problem p = reals(shape, Type::F32, 22, true);
  for (auto* part : {&p.gate, &p.decay})
    for (size_t i = 0; i < part->size(); i += 3) (*part)[i] = 0.25;
  for (size_t i = 0; i < p.dt.size() && !p.softplus; i += 3) p.dt[i] = -9;
  expect(p, 23);
}

TEST_P(Backward, LengthsPackedAndSlots) {
  shape.B = 3;
  shape.lengths = {0, 1, 30};
  shape.normalise = true;
  shape.map = "elu1";
  shape.eps = 1e-6;
  expect(reals(shape, Type::F32, 14, true), 15);
  Problem packed = shape;
  packed.B = 1;
  packed.T = 67;
  packed.lengths.clear();
  packed.cu_seqlens = {0, 1, 1, 40, 67};
  packed = reals(packed, Type::F32, 16, true);
  expect(packed, 17);
}

TEST_P(Backward, SameBitsWhateverTheThreads) {
  shape.normalise = true;
  shape.map = "elu1";
  shape.eps = 1e-6;
  const Problem p = reals(shape, Type::F32, 18, true);
  const Given given = given_reals(p, Type::F32, 19, true);
  Options one, several;
  several.threads = 3;
  several.free_extents = true;
  expect_same(call_backward(op, p, given, several), call_backward(op, p, given, one), "3 threads");
}

TEST_P(Backward, OracleIsTheSlopeOfTheForwardOracle) {
  shape.B = 1;
  shape.T = 5;
  shape.HQ = 4;
  shape.D = 3;
  shape.V = 2;
  shape.map = "silu";
  shape.scale = 0.7;
  shape.normalise = true;
  shape.eps = 0.5;
  Problem p = reals(shape, Type::F32, 20, true);
  for (double& g : p.gate) g = std::max(g, -1.0);
  const Given given = given_reals(p, Type::F32, 21, true);
  const Gradients all = reference::backward(p, given, op == "causal").value;
  const auto check = [&](std::vector<double> Problem::*input, const std::vector<double>& gradient, const char* name) {
    for (size_t i = 0; i < (p.*input).size(); ++i) {
      constexpr double step = 1e-6;
      Problem above = p, below = p;
      (above.*input)[i] += step;
      (below.*input)[i] -= step;
      const double slope = (loss(op, above, given) - loss(op, below, given)) / (2 * step);
      EXPECT_NEAR(gradient[i], slope, 1e-6 * (1 + std::abs(slope))) << name << "[" << i << "]";
    }
  };
  check(&Problem::q, all.q, "q");
  check(&Problem::k, all.k, "k");
  check(&Problem::v, all.v, "v");
  check(&Problem::gate, all.gate, "gate");
  if (p.step_size.empty()) check(&Problem::decay, all.decay, "decay");
  check(&Problem::momentum, all.momentum, "momentum");
  check(&Problem::beta, all.beta, "beta");
  check(&Problem::bonus, all.bonus, "bonus");
  check(&Problem::dt, all.dt, "dt");
  check(&Problem::dt_bias, all.dt_bias, "dt_bias");
  check(&Problem::skip, all.skip, "skip");
  check(&Problem::out_gate, all.out_gate, "out_gate");
  check(&Problem::state, all.state, "state");
  check(&Problem::z, all.z, "z");
}

INSTANTIATE_TEST_SUITE_P(Ops, GradientsOfMaps,
                         testing::Values(OpAndVariant{"causal", "plain"}, OpAndVariant{"noncausal", "plain"}),
                         [](const auto& test) { return name_of(test.param); });
INSTANTIATE_TEST_SUITE_P(Ops, Backward, testing::ValuesIn(cases()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
