// Not a byte outside the tensors is touched, and every output is written. (All other tests run between guard pages
// too, with outputs that start as NaN; here every side, type and layout has its turn.)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

using Case = std::tuple<OpAndVariant, Type, Layout, Edge>;

class Guards : public testing::TestWithParam<Case> {
 protected:
  const std::string op = std::get<0>(GetParam()).first, variant = std::get<0>(GetParam()).second;
  Options options = [] {
    Options o;
    o.type = std::get<1>(GetParam());
    o.layout = std::get<2>(GetParam());
    o.edge = std::get<3>(GetParam());
    return o;
  }();

  Problem problem(int64_t T, int64_t D, int64_t V) const {
    Problem p;
    p.variant = variant;
    p.map = "elu1";
    p.B = 2;
    p.HQ = p.HK = p.HV = 2;
    p.T = T;
    p.D = D;
    p.V = V;
    p.normalise = true;
    p.eps = 1e-6;
    return reals(p, options.type, 71, true);
  }
};

TEST_P(Guards, NothingOutsideAndEverythingInside) {
  for (const auto& [T, D, V] : {std::tuple<int64_t, int64_t, int64_t>{1, 5, 7}, {67, 33, 18}, {20, 64, 64}}) {
    const Problem p = problem(T, D, V);
    const Answer got = call(op, p, options);
    for (auto part : {&Answer::o, &Answer::state, &Answer::z})
      for (const double y : got.*part) ASSERT_TRUE(y == y) << "left unwritten: " << Arguments(op, p, options).text();
  }
}

TEST_P(Guards, InputsStay) {
  const Problem p = problem(21, 10, 9);
  const Arguments arguments(op, p, options);
  const Context& context = shared_context(1);
  const Plan plan(context, arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << context.error();
  ASSERT_EQ(run(context, plan, arguments), LATHE_OK) << context.error();
  const Arguments fresh(op, p, options);
  for (const uint32_t role :
       {LATHE_Q, LATHE_K, LATHE_V, LATHE_GATE, LATHE_DT, LATHE_OUT_GATE, LATHE_STATE_IN, LATHE_Z_IN})
    if (arguments.tensors.contains(role))
      expect_same(arguments.tensors.at(role)->read(), fresh.tensors.at(role)->read(), fmt::format("role {}", role));
}

// What lies past a length is neither read nor left unwritten.
TEST_P(Guards, PastALength) {
  Problem clean = problem(40, 12, 11);
  clean.lengths = {0, 23};
  Problem p = clean;
  for (int64_t b = 0; b < p.B; ++b)
    for (const auto part : reference::rows_of_tokens()) {
      std::vector<double>& rows = p.*part;
      const int64_t width = static_cast<int64_t>(rows.size()) / (p.B * p.T);
      std::fill(rows.begin() + (b * p.T + p.lengths[b]) * width, rows.begin() + (b + 1) * p.T * width, NAN);
    }
  const Answer got = call(op, p, options);
  expect_answer(got, op, clean, options);
  if (op == "accumulate") return;
  const int64_t width = p.out_heads() * p.V;
  for (int64_t b = 0; b < p.B; ++b)
    for (int64_t i = (b * p.T + p.lengths[b]) * width; i < (b + 1) * p.T * width; ++i) ASSERT_EQ(got.o[i], 0);
}

std::string printed(const testing::TestParamInfo<Case>& test) {
  const auto& [op, type, layout, edge] = test.param;
  return fmt::format("{}_{}_{}_{}", name_of(op), name_of(type), name_of(layout),
                     edge == Edge::First ? "first" : "last");
}

INSTANTIATE_TEST_SUITE_P(All, Guards,
                         testing::Combine(testing::ValuesIn(reference::operators_and_variants()),
                                          testing::Values(Type::F32, Type::F16, Type::BF16),
                                          testing::Values(Layout::Bthd, Layout::Bhtd, Layout::Gapped, Layout::Reversed),
                                          testing::Values(Edge::First, Edge::Last)),
                         printed);

}  // namespace
