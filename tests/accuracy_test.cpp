// Reals through every map, operator and type, against the oracles.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

using Case = std::tuple<std::pair<std::string, std::string>, std::string, Type>;

std::string printed(const testing::TestParamInfo<Case>& test) {
  const auto& [op, map, type] = test.param;
  return fmt::format("{}_{}_{}_{}", op.first, op.second, map, name_of(type));
}

class Accuracy : public testing::TestWithParam<Case> {
 protected:
  void check_shape(Problem p) {
    const auto& [op_and_variant, map, type] = GetParam();
    const std::string& op = op_and_variant.first;
    p.variant = op_and_variant.second;
    p = with_map(p, map);
    Options options;
    options.type = type;
    p = reals(p, type, 21, true);
    if (op != "decode") {
      p.T = chunk_of(op, p, options) + 3;
      p = reals(p, type, 22, true);
    }
    check(op, p, options);
  }
};

const Problem shape = [] {
  Problem p;
  p.T = 3;
  p.HQ = p.HK = p.HV = 2;
  p.D = 24;
  p.V = 20;
  p.scale = 0.3;
  return p;
}();

TEST_P(Accuracy, Bare) { check_shape(shape); }

TEST_P(Accuracy, Normalised) {
  if (!reference::has_normaliser(std::get<0>(GetParam()).second)) return;
  Problem p = shape;
  p.normalise = true;
  p.eps = 1e-6;
  check_shape(p);
}

INSTANTIATE_TEST_SUITE_P(All, Accuracy,
                         testing::Combine(testing::ValuesIn(reference::operators_and_variants()),
                                          testing::ValuesIn(reference::map_names()),
                                          testing::Values(Type::F32, Type::F16, Type::BF16)),
                         printed);

// elu(x) + 1 computed as such is 0 for x <= -8 in bfloat16; the map itself is exp(x).
TEST(Lessons, Fla1261FarNegativeElu1InBfloat16) {
  Problem p = shape;
  p.map = "elu1";
  p.T = 5;
  p.normalise = true;
  p = reals(p, Type::BF16, 26);
  for (double& x : p.k) x = rounded(Type::BF16, -8 - std::abs(x));
  Options options;
  options.type = Type::BF16;
  check("causal", p, options);
}

// Values of known maps by hand, so that an error in an oracle does not pass for one of the library's successes.
TEST(Oracles, KnownValues) {
  Problem p;
  p.D = 2;
  const double x[] = {1, -1};
  const auto mapped = [&](const char* map) {
    p.map = map;
    return reference::map_key(p, 0, 0, x, {}).value;
  };
  using Values = std::vector<double>;
  EXPECT_EQ(mapped("relu"), (Values{1, 0}));
  EXPECT_EQ(mapped("elu1"), (Values{2, std::exp(-1.0)}));
  p.attrs = {{"max_length", 1}};
  EXPECT_NEAR(mapped("cosformer")[0], 1, 1e-15);
  EXPECT_NEAR(mapped("cosformer")[2], 0, 1e-15);
  const Values taylor = mapped("taylor2");
  double product = 0;
  for (const double y : taylor) product += y * y;
  const double a = 2 / std::sqrt(2.0);
  EXPECT_NEAR(product, 1 + a + a * a / 2, 1e-14);
}

}  // namespace
