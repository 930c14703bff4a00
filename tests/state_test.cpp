// States: where they come from, where they go, and that nobody else's is touched.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

class States : public testing::TestWithParam<OpAndVariant> {
 protected:
  const std::string op = GetParam().first;

  Problem shape() const {
    Problem p = normalised(op, 3, 67, 13, 22);
    p.variant = GetParam().second;
    return p;
  }
};

TEST_P(States, AbsentIsZero) {
  const Problem p = reals(shape(), Type::F32, 121);
  Problem zero = p;
  zero.state.assign(static_cast<size_t>(3 * 2 * p.D * p.V), 0);
  zero.z.assign(static_cast<size_t>(3 * 2 * p.D), 0);
  expect_same(call(op, p), call(op, zero), "zero");
}

TEST_P(States, DroppedChangesNothingElse) {
  const Problem p = reals(shape(), Type::F32, 122, true);
  if (op == "accumulate") return;
  Options options;
  options.states = false;
  const Answer got = call(op, p, options);
  EXPECT_TRUE(got.state.empty());
  expect_same(got.o, call(op, p).o, "o");
}

TEST_P(States, InPlace) {
  const Problem p = reals(shape(), Type::F32, 123, true);
  Options options;
  options.in_place = true;
  expect_same(call(op, p, options), call(op, p), "in place");
}

// Rows lie anywhere; those that no slot names stay as they are (expect_close holds them against the initial ones).
TEST_P(States, SlotsPickRows) {
  Problem p = shape();
  p.state_rows = 7;
  p.slots = {5, 0, 3};
  p = reals(p, Type::F32, 124, true);
  for (const bool in_place : {false, true})
    for (const Layout layout : {Layout::Bthd, Layout::Gapped}) {
      Options options;
      options.in_place = in_place;
      options.layout = layout;
      const Answer got = call(op, p, options);
      expect_answer(got, op, p, options);
      const int64_t row = 2 * p.D * p.V;
      for (const int64_t untouched : {1, 2, 4, 6})
        expect_same({got.state.begin() + untouched * row, got.state.begin() + (untouched + 1) * row},
                    {p.state.begin() + untouched * row, p.state.begin() + (untouched + 1) * row},
                    fmt::format("row {}", untouched));
    }
}

// Prefills and single tokens of different sequences share one packed call; an empty one hands its state on.
TEST_P(States, PackedWithSlots) {
  Problem p = shape();
  p.B = 1;
  p.T = 70;
  p.cu_seqlens = {0, 1, 66, 66, 67, 70};
  p.state_rows = 8;
  p.slots = {7, 2, 4, 0, 3};
  p = reals(p, Type::F32, 125, true);
  for (const bool in_place : {false, true}) {
    Options options;
    options.in_place = in_place;
    const Answer got = call(op, p, options);
    expect_answer(got, op, p, options);
    const int64_t row = 2 * p.D * p.V;
    expect_same({got.state.begin() + 4 * row, got.state.begin() + 5 * row},
                {p.state.begin() + 4 * row, p.state.begin() + 5 * row}, "the empty sequence");
  }
}

TEST_P(States, HandedOnByEmptyRows) {
  Problem p = shape();
  p.lengths = {0, p.T, 0};
  p = reals(p, Type::F32, 126, true);
  for (const Layout layout : {Layout::Bthd, Layout::Gapped}) {
    Options options;
    options.layout = layout;
    const Answer got = call(op, p, options);
    const auto row = static_cast<std::ptrdiff_t>(p.state.size() / 3);
    for (const std::ptrdiff_t b : {0, 2})
      expect_same({got.state.begin() + b * row, got.state.begin() + (b + 1) * row},
                  {p.state.begin() + b * row, p.state.begin() + (b + 1) * row}, "state");
  }
}

TEST_P(States, HandedOnWithoutTokens) {
  Problem p = shape();
  p.T = 0;
  p = reals(p, Type::F32, 127, true);
  const Answer got = call(op, p);
  expect_same(got.state, p.state, "state");
  if (p.normalise) expect_same(got.z, p.z, "z");
}

std::vector<OpAndVariant> writing() {
  auto all = reference::operators_and_variants();
  std::erase_if(all, [](const OpAndVariant& op) { return op.first == "readout"; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Ops, States, testing::ValuesIn(writing()),
                         [](const auto& test) { return name_of(test.param); });

TEST(Readout, SlotsPickRows) {
  Problem p;
  p.map = "elu1";
  p.B = 3;
  p.HQ = 4;
  p.HK = p.HV = 2;
  p.T = 9;
  p.state_rows = 4;
  p.slots = {2, 0, 3};
  p.normalise = true;
  p.eps = 1e-6;
  check("readout", reals(p, Type::F32, 129, true));
}

// The state after every token, for a caller that may have to go back to one of them.
TEST(Snapshots, OfEveryToken) {
  for (const std::string& variant : reference::recurrent_variants()) {
    Problem p;
    p.variant = variant;
    p.map = "elu1";
    p.B = 2;
    p.HQ = 4;
    p.HK = p.HV = 2;
    p.T = 5;
    p.D = 18;
    p.V = 14;
    p.snapshots = true;
    p = reals(p, Type::F32, 128, true);
    check("decode", p);
    const Answer got = call("decode", p);
    expect_same(rows_between(got.snapshots, 2, 5, 4, 1), got.state, "the last snapshot");
    for (int64_t t = 1; t < 5; ++t)
      expect_same(rows_between(got.snapshots, 2, 5, t - 1, 1), call("decode", tokens_of(p, 0, t, nullptr)).state,
                  "a snapshot");
  }
}

}  // namespace
