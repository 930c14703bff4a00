// What must hold whatever the numbers are: one sequence computed in different ways gives one answer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

Problem shape_of(const std::string& variant, const std::string& map, bool normalise) {
  Problem p;
  p.variant = variant;
  p.B = 2;
  p.HQ = p.HK = p.HV = 2;
  p.D = 18;
  p.V = 20;
  p.normalise = normalise;
  p.eps = 1e-6;
  return with_map(p, map);
}

class EveryMap : public testing::TestWithParam<std::tuple<std::string, std::string, bool>> {
 protected:
  // Without a normaliser in either case.
  static bool is_asked_twice() {
    return std::get<2>(GetParam()) && !reference::has_normaliser(std::get<0>(GetParam()));
  }
  Problem problem(int64_t extra_tokens, uint64_t seed) {
    const auto& [variant, map, normalise] = GetParam();
    Problem p = reals(shape_of(variant, map, normalise), Type::F32, seed);
    p.T = chunk_of("causal", p) + extra_tokens;
    return reals(p, Type::F32, seed, true);
  }
};

// The whole in pieces, each with the state of the one before.
Answer in_pieces(const Problem& whole, const std::vector<int64_t>& ends, const char* op, const Options& options) {
  Answer joined;
  joined.o.assign(static_cast<size_t>(whole.B * whole.T * whole.out_heads() * whole.V), NAN);
  Answer before;
  before.state = whole.state;
  before.z = whole.z;
  before.stabiliser = whole.stabiliser;
  before.momentum = whole.momentum;
  before.last = whole.last;
  int64_t first = 0;
  for (const int64_t end : ends) {
    const Answer piece = call(op, tokens_of(whole, first, end - first, &before), options);
    put_rows(joined.o, piece.o, whole.B, whole.T, first, end - first);
    before = piece;
    first = end;
  }
  joined.state = before.state;
  joined.z = before.z;
  joined.stabiliser = before.stabiliser;
  joined.momentum = before.momentum;
  joined.last = before.last;
  return joined;
}

TEST_P(EveryMap, SplitAnywhereWithTheState) {
  if (is_asked_twice()) return;
  const Problem p = problem(7, 31);
  const int64_t T = p.T, C = T - 7;
  const Answer whole = call("causal", p);
  const Answer size = reference::causal(p).size;
  for (const std::vector<int64_t>& ends :
       {std::vector<int64_t>{C, T}, {1, T}, {C - 1, C + 1, T}, {T - 1, T}, {5, 5, C / 2, T}})
    expect_near(in_pieces(p, ends, "causal", {}), whole, size, Type::F32, 2 * epsilons_of(p),
                fmt::format("cuts {}", ends[0]));
}

TEST_P(EveryMap, TokenByTokenDecode) {
  if (is_asked_twice()) return;
  const Problem p = problem(3, 32);
  std::vector<int64_t> every;
  for (int64_t t = 1; t <= p.T; ++t) every.push_back(t);
  Options options;
  options.in_place = true;
  const Answer decoded = in_pieces(p, every, "decode", options);
  expect_near(decoded, call("causal", p), reference::causal(p).size, Type::F32, 2 * epsilons_of(p), "decode");
}

INSTANTIATE_TEST_SUITE_P(Maps, EveryMap,
                         testing::Combine(testing::ValuesIn(reference::recurrent_variants()),
                                          testing::ValuesIn(reference::map_names()), testing::Bool()),
                         [](const auto& test) {
                           return fmt::format("{}_{}_{}", std::get<0>(test.param), std::get<1>(test.param),
                                              std::get<2>(test.param) ? "normalised" : "bare");
                         });

struct Batch {
  Problem padded, packed;
};

// The same sequences as rows with lengths, and end to end; NaN stands behind every length.
Batch batch_of(const Problem& shape, const std::vector<int64_t>& lengths, uint64_t seed) {
  Batch batch;
  Problem& padded = batch.padded = shape;
  padded.B = static_cast<int64_t>(lengths.size());
  padded.T = *std::max_element(lengths.begin(), lengths.end()) + 2;
  padded = reals(padded, Type::F32, seed, true);
  padded.lengths = lengths;
  Problem& packed = batch.packed = padded;
  packed.B = 1;
  packed.T = 0;
  packed.lengths.clear();
  for (const auto part : reference::rows_of_tokens()) (packed.*part).clear();
  packed.cu_seqlens = {0};
  for (int64_t n = 0; n < padded.B; ++n) {
    for (const auto part : reference::rows_of_tokens()) {
      std::vector<double>& rows = padded.*part;
      const int64_t width = static_cast<int64_t>(rows.size()) / (padded.B * padded.T);
      const auto row = rows.begin() + n * padded.T * width, end = row + lengths[n] * width;
      (packed.*part).insert((packed.*part).end(), row, end);
      std::fill(end, row + padded.T * width, NAN);
    }
    packed.T += lengths[n];
    packed.cu_seqlens.push_back(packed.T);
  }
  return batch;
}

// The rows of a padded output that a packed one has.
std::vector<double> counted(const Problem& padded, const std::vector<double>& o) {
  std::vector<double> some;
  const int64_t width = padded.out_heads() * padded.V;
  for (int64_t n = 0; n < padded.B; ++n) {
    const auto row = o.begin() + n * padded.T * width;
    some.insert(some.end(), row, row + padded.lengths[n] * width);
  }
  return some;
}

class Packed : public testing::TestWithParam<std::tuple<OpAndVariant, const char*>> {};

TEST_P(Packed, EqualsPaddedToTheBit) {
  const auto& [op_and_variant, map] = GetParam();
  const auto& [op, variant] = op_and_variant;
  Problem shape = shape_of(variant, map, true);
  const int64_t C = op == "decode" ? 2 : chunk_of("causal", reals(shape, Type::F32, 1));
  const Batch batch = batch_of(shape, {C + 3, 0, 1, C, 2 * C - 1}, 33);
  Answer padded = call(op, batch.padded);
  const Answer packed = call(op, batch.packed);
  if (op != "accumulate") padded.o = counted(batch.padded, padded.o);
  expect_same(packed, padded, op);
  expect_answer(packed, op, batch.packed);
}

INSTANTIATE_TEST_SUITE_P(Ops, Packed,
                         testing::Combine(testing::ValuesIn(reference::operators_and_variants()),
                                          testing::Values("elu1", "identity", "cosformer", "favor")),
                         [](const auto& test) {
                           return fmt::format("{}_{}", name_of(std::get<0>(test.param)), std::get<1>(test.param));
                         });

class Causality : public testing::TestWithParam<std::tuple<OpAndVariant, const char*, bool>> {};

// The tile boundaries are not known here, so tokens well inside a chunk and at both of its ends are changed.
TEST_P(Causality, NothingBeforeAChangeChanges) {
  const auto& [op_and_variant, map, normalise] = GetParam();
  const auto& [op, variant] = op_and_variant;
  if (normalise && !reference::has_normaliser(variant)) return;
  Problem p = shape_of(variant, map, normalise);
  p.B = 1;
  const int64_t C = op == "decode" ? 4 : chunk_of(op, reals(p, Type::F32, 1));
  p.T = 2 * C + 3;
  p = reals(p, Type::F32, 34, true);
  const Answer clean = call(op, p);
  for (const int64_t t : {int64_t{1}, int64_t{2}, C / 2, C / 2 + 1, C - 1, C, C + 1, 2 * C - 3, 2 * C + 2})
    for (const double poison : {17.0, double{NAN}, double{INFINITY}, -double{INFINITY}})
      for (const auto part : reference::rows_of_tokens()) {
        Problem changed = p;
        const int64_t width = static_cast<int64_t>((p.*part).size()) / p.T;
        if (width == 0) continue;
        const double of_kind = legal(p, part, poison);
        for (int64_t i = 0; i < width; ++i) (changed.*part)[t * width + i] = of_kind;
        const Answer got = call(op, changed);
        expect_same(rows_between(got.o, 1, p.T, 0, t), rows_between(clean.o, 1, p.T, 0, t),
                    fmt::format("{} {} at token {} of {}: o", op, poison, t, p.T));
      }
}

// Where gates are mild a state may wait for them, and whether it does hangs on later ones too.
TEST(MildGates, DoNotShowWhatFollows) {
  for (const char* variant : {"gate_key", "rwkv6", "kda"})
    for (const bool normalise : {false, true}) {
      if (normalise && !reference::has_normaliser(variant)) continue;
      Problem p = shape_of(variant, "identity", normalise);
      p.B = 1;
      p.T = 75;
      p = reals(p, Type::F32, 36, true);
      for (size_t i = 0; i < p.gate.size(); ++i) p.gate[i] = rounded(Type::F32, -0.01 * static_cast<double>(i % 37));
      const Answer mild = call("causal", p);
      const auto width = static_cast<int64_t>(p.gate.size()) / p.T;
      for (const int64_t t : {3, 9, 15, 40, 71})
        for (const double strong : {-8.0, -30.0, -double{INFINITY}}) {
          Problem changed = p;
          std::fill_n(changed.gate.begin() + t * width, width, strong);
          const Answer got = call("causal", changed);
          expect_same(rows_between(got.o, 1, p.T, 0, t), rows_between(mild.o, 1, p.T, 0, t),
                      fmt::format("{} at token {} of {}", strong, t, variant));
        }
    }
}

std::vector<OpAndVariant> directed() {
  auto all = reference::operators_and_variants();
  std::erase_if(all, [](const OpAndVariant& op) { return op.first != "causal" && op.first != "decode"; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Ops, Causality,
                         testing::Combine(testing::ValuesIn(directed()), testing::Values("elu1", "identity"),
                                          testing::Bool()),
                         [](const auto& test) {
                           return fmt::format("{}_{}_{}", name_of(std::get<0>(test.param)), std::get<1>(test.param),
                                              std::get<2>(test.param) ? "normalised" : "bare");
                         });

// A key that is padding leaks into a denominator when its value alone is masked: elu(0) + 1 is 1.
TEST(Lessons, Fla1263Fla1266PaddedKeysStayOutOfTheDenominator) {
  Problem p = shape_of("plain", "elu1", true);
  p.T = 50;
  p = reals(p, Type::F32, 35);
  p.lengths = {50, 20};
  for (const char* op : {"causal", "noncausal"}) check(op, p);
  p.TQ = 3;
  p.q.resize(static_cast<size_t>(p.B * p.TQ * p.HQ * p.D));
  check("noncausal", p);
}

}  // namespace
