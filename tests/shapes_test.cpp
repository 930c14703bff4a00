// Extents, widths, heads and strides, each where a kernel may go wrong.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;
constexpr const char* all_ops[] = {"causal", "noncausal", "accumulate", "readout", "decode"};

class Shapes : public testing::TestWithParam<const char*> {
 protected:
  std::string op = GetParam();

  Problem shape() const {
    Problem p;
    p.map = "elu1";
    p.HQ = p.HK = p.HV = 2;
    p.D = 20;
    p.V = 12;
    p.normalise = true;
    p.eps = 1e-6;
    return p;
  }
  int64_t chunk(const Problem& p) const { return op == "decode" ? 2 : chunk_of(op, reals(p, Type::F32, 1, true)); }
};

TEST_P(Shapes, Tokens) {
  Problem p = shape();
  p.B = 2;
  for (const int64_t T : lengths_around(chunk(p))) {
    p.T = T;
    check(op, reals(p, Type::F32, 41, true));
  }
}

// The widths at which vectors and tiles of any target end, one side at a time and both.
TEST_P(Shapes, Widths) {
  Problem p = shape();
  const std::pair<int64_t, int64_t> widths[] = {{1, 1},   {3, 3},   {17, 17}, {31, 31}, {63, 63},
                                                {65, 65}, {80, 80}, {100, 1}, {1, 100}, {7, 130}};
  for (const auto& [D, V] : widths) {
    p.D = D;
    p.V = V;
    p.T = chunk(p) + 5;
    check(op, reals(p, Type::F32, 42, true));
  }
}

TEST_P(Shapes, Wide) {
  Problem p = shape();
  p.HQ = p.HK = p.HV = 1;
  p.T = 3;
  for (const auto& [D, V] : {std::pair<int64_t, int64_t>{1024, 8}, {8, 1024}, {300, 300}}) {
    p.D = D;
    p.V = V;
    check(op, reals(p, Type::F32, 43, true));
  }
}

TEST_P(Shapes, GroupedHeads) {
  Problem p = shape();
  p.B = 2;
  struct Heads {
    int64_t q, k, v;
  };
  for (const Heads h : {Heads{4, 2, 2}, {6, 1, 1}, {2, 2, 4}, {1, 1, 3}, {4, 1, 2}, {6, 2, 6}})
    for (const bool tiled : {false, true}) {
      p.HQ = h.q;
      p.HK = h.k;
      p.HV = h.v;
      p.tiled = tiled;
      p.T = chunk(p) + 5;
      check(op, reals(p, Type::F32, 44, true));
    }
}

TEST_P(Shapes, Layouts) {
  Problem p = shape();
  p.B = 2;
  p.T = chunk(p) + 5;
  for (const Type type : {Type::F32, Type::F16, Type::BF16})
    for (const Layout layout : {Layout::Bthd, Layout::Bhtd, Layout::Gapped, Layout::Reversed}) {
      Options options;
      options.type = type;
      options.layout = layout;
      check(op, reals(p, type, 45, true), options);
    }
}

// One head of keys stands for all of them: its stride over heads is zero.
TEST_P(Shapes, OneKeyHeadInMemory) {
  if (op == "readout") return;
  Problem p = shape();
  p.T = chunk(p) + 5;
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
  p.T = chunk(p) + 5;
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
