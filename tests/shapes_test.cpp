// Extents, widths, heads and strides, each where a kernel may go wrong.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "support/inputs.h"
#include "support/shape_table.h"
#include "support/tolerance.h"

namespace {

using namespace support;
constexpr const char* all_ops[] = {"causal", "noncausal", "accumulate", "readout", "decode"};

Problem normalised(Problem p) {
  p.map = p.M > 0 ? "favor" : "elu1";
  p.normalise = true;
  p.eps = 1e-6;
  return p;
}

// Of the kernel that the operator takes, for float32; decode walks few tokens.
int64_t chunk_of(const std::string& op) {
  return op == "decode" ? 2 : support::chunk_of(op, reals(normalised({}), Type::F32, 1, true));
}

using OpAndGroup = std::tuple<OpAndVariant, std::string>;
class Table : public testing::TestWithParam<OpAndGroup> {};

TEST_P(Table, IsTheOracles) {
  const auto& [op_and_variant, group] = GetParam();
  const auto& [op, variant] = op_and_variant;
  const auto types = group == "layouts" ? std::vector{Type::F32, Type::F16, Type::BF16} : std::vector{Type::F32};
  const auto orders = group == "heads" ? std::vector{false, true} : std::vector{false};
  for (const Type type : types)
    for (const bool tiled : orders)
      for (const Shape& shape : shapes(group, chunk_of(op))) {
        Problem p = normalised(shape.problem);
        p.variant = variant;
        // a normaliser cannot follow several decays
        p.normalise = variant == "plain" || p.HV == p.HK;
        p.tiled = tiled;
        Options options;
        options.type = type;
        options.layout = shape.layout;
        check(op, reals(p, type, 41, true), options);
      }
}

INSTANTIATE_TEST_SUITE_P(All, Table,
                         testing::Combine(testing::ValuesIn(reference::operators_and_variants()),
                                          testing::ValuesIn(shape_groups())),
                         [](const testing::TestParamInfo<OpAndGroup>& test) {
                           return fmt::format("{}_{}", name_of(std::get<0>(test.param)), std::get<1>(test.param));
                         });

class Shapes : public testing::TestWithParam<const char*> {
 protected:
  std::string op = GetParam();

  Problem shape() const {
    Problem p;
    p.HQ = p.HK = p.HV = 2;
    p.D = 20;
    p.V = 12;
    return normalised(p);
  }
};

// A table that lost one of its edges would go on passing.
TEST_P(Shapes, TableHoldsEveryEdge) {
  const int64_t C = chunk_of(op);
  std::set<int64_t> counts;
  bool odd_keys = false, odd_values = false, strided = false, grouped_queries = false, grouped_values = false;
  for (const auto& [group, p, layout] : test_shapes(C)) {
    counts.insert(p.T);
    odd_keys |= p.D > 1 && p.D % 2 == 1;
    odd_values |= p.V > 1 && p.V % 2 == 1;
    strided |= layout == Layout::Gapped;
    grouped_queries |= p.HQ > p.HK;
    grouped_values |= p.HV > p.HK;
  }
  for (const int64_t T : {int64_t{0}, int64_t{1}, C - 1, C, C + 1, 3 * C + 1}) EXPECT_TRUE(counts.contains(T)) << T;
  EXPECT_TRUE(odd_keys) << "no odd width of keys";
  EXPECT_TRUE(odd_values) << "no odd width of values";
  EXPECT_TRUE(strided) << "no layout with gaps";
  EXPECT_TRUE(grouped_queries) << "no query heads that share a key head";
  EXPECT_TRUE(grouped_values) << "no value heads that share a key head";
}

// What the benchmark times.
TEST_P(Shapes, OfTheBenchmark) {
  for (const Shape& timed : timed_shapes(chunk_of(op)))
    check(op, reals(normalised(timed.problem), Type::F32, 54, true));
}

// One head of keys stands for all of them: its stride over heads is zero.
TEST_P(Shapes, OneKeyHeadInMemory) {
  if (op == "readout") return;
  Problem p = shape();
  p.T = chunk_of(op) + 5;
  p = reals(p, Type::F32, 46, true);
  for (int64_t t = 0; t < p.T; ++t)
    for (int64_t d = 0; d < p.D; ++d) p.k[(t * 2 + 1) * p.D + d] = p.k[t * 2 * p.D + d];
  Options options;
  options.one_key_head = true;
  check(op, p, options);
}

// Each tensor has its own type.
TEST_P(Shapes, MixedTypes) {
  Problem p = shape();
  p.T = chunk_of(op) + 5;
  p = reals(p, Type::BF16, 52, true);
  for (auto part : {&Problem::q, &Problem::k, &Problem::v})
    for (double& x : p.*part) x = rounded(Type::F16, x);
  Arguments arguments(op, p);
  for (const auto& [role, type] : {std::pair<uint32_t, Type>{LATHE_Q, Type::F16}, {LATHE_K, Type::BF16}}) {
    if (!arguments.tensors.contains(role)) continue;
    const auto other = std::make_shared<Tensor>(type, arguments.tensors.at(role)->shape);
    other->write(arguments.tensors.at(role)->read());
    arguments.tensors[role] = other;
  }
  const Plan plan(shared_context(1), arguments);
  ASSERT_EQ(plan.status, LATHE_OK) << shared_context(1).error();
  ASSERT_EQ(run(shared_context(1), plan, arguments), LATHE_OK) << shared_context(1).error();
  expect_answer(arguments.outputs(), op, p);
}

TEST_P(Shapes, OtherIntegers) {
  Problem p = shape();
  p.B = 3;
  p.T = 9;
  p = reals(p, Type::F32, 47, true);
  p.lengths = {9, 0, 4};
  for (const Type integer : {Type::I32, Type::I64}) {
    Options options;
    options.integer = integer;
    check(op, p, options);
  }
}

TEST_P(Shapes, NothingAtAll) {
  Problem p = shape();
  p.B = 0;
  check(op, reals(p, Type::F32, 48, true));
}

INSTANTIATE_TEST_SUITE_P(Ops, Shapes, testing::ValuesIn(all_ops), [](const auto& test) { return test.param; });

TEST(Queries, AnotherNumberThanKeys) {
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 50}, {50, 1}, {7, 130}, {5, 0}, {0, 5}}) {
    Problem p;
    p.map = "elu1";
    p.B = 2;
    p.HQ = p.HK = p.HV = 2;
    p.D = 17;
    p.V = 9;
    p.TQ = queries;
    p.T = keys;
    p.normalise = true;
    p.eps = 1e-6;
    check("noncausal", reals(p, Type::F32, 49));
  }
}

class MapWidths : public testing::TestWithParam<std::string> {};

// Every width that a map may end at, and every number of projection rows: both are padded to blocks inside.
TEST_P(MapWidths, Sweep) {
  const Problem needs = with_map({}, GetParam());
  for (int64_t width = 1; width <= 70; ++width) {
    Problem p = needs;
    p.T = 9;
    p.V = 3;
    if (p.M > 0)
      p.M = width;
    else
      p.D = width;
    // Narrow keys may have no two positive neighbours, whose products dpfp divides by the sum of.
    if (p.map == "dpfp" && p.D < needs.D) continue;
    for (const char* op : {"accumulate", "readout"}) check(op, reals(p, Type::F32, 53, true));
  }
}

INSTANTIATE_TEST_SUITE_P(Maps, MapWidths, testing::ValuesIn(reference::map_names()),
                         [](const auto& test) { return test.param; });

TEST(Projections, OnePerHead) {
  for (const char* map : {"favor", "favor_performer", "rff", "hedgehog"}) {
    Problem p;
    p.HQ = p.HK = p.HV = 3;
    p.T = 20;
    p = reals(with_map(p, map), Type::F32, 50);
    const std::vector<double> shared = p.projection;
    for (const double sign : {-1.0, 0.5})
      for (const double w : shared) p.projection.push_back(sign * w);
    check("causal", p);
  }
}

// Alone and with several query heads to a key head; the last has all its sequences too short for a chunk.
TEST(Positions, StartAnywhere) {
  for (const auto& [heads, tokens] : {std::pair<int64_t, int64_t>{2, 40}, {6, 40}, {6, 3}}) {
    Problem p;
    p.B = 3;
    p.HQ = heads;
    p.HK = p.HV = 2;
    p.T = tokens;
    p.normalise = true;
    p.eps = 1e-6;
    p = reals(with_map(p, "cosformer"), Type::F32, 51, true);
    p.position = {0, 17, 600};
    for (const char* op : {"causal", "noncausal", "readout", "decode"}) check(op, p);
  }
}

}  // namespace
