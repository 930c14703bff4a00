// Refusals: each wrong input gets the right status and a message that names what is wrong, and no output is touched.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

// Q and K [2,6,2,4], V and O [2,6,2,5], states [2,2,4,5], normalisers [2,2,4].
Problem good() {
  Problem p;
  p.map = "elu1";
  p.B = 2;
  p.T = 6;
  p.HQ = p.HK = p.HV = 2;
  p.V = 5;
  p.normalise = true;
  p.eps = 1e-6;
  return reals(p, Type::F32, 91, true);
}
Problem with_lengths() {
  Problem p = good();
  p.lengths = {6, 3};
  return p;
}
Problem packed() {
  Problem p = good();
  p.B = 1;
  p.cu_seqlens = {0, 2, 6};
  return reals(p, Type::F32, 92, true);
}
Problem with_slots() {
  Problem p = good();
  p.state_rows = 5;
  p.slots = {4, 1};
  return reals(p, Type::F32, 93, true);
}
Problem decaying() {
  Problem p = good();
  p.variant = "decay";
  return reals(p, Type::F32, 94, true);
}
Problem projected() { return reals(with_map(good(), "favor"), Type::F32, 95, true); }
Problem cosformer() { return reals(with_map(good(), "cosformer"), Type::F32, 96, true); }

using Words = std::vector<std::string>;

struct Bad {
  const char* name;
  Problem (*problem)();
  std::function<void(Arguments&)> spoil;
  lathe_status status;
  Words mentions;  // the argument, then what was expected and what came where numbers say it
};

Tensor& at(Arguments& a, uint32_t role) { return *a.tensors.at(role); }

// An extent that is wrong, with the memory to match.
std::function<void(Arguments&)> extent(uint32_t role, size_t dimension, int64_t value) {
  return [=](Arguments& a) {
    const Tensor& old = at(a, role);
    Extents shape = old.shape;
    shape[dimension] = value;
    a.tensors[role] = std::make_shared<Tensor>(old.type(), shape);
    a.tensors[role]->fill(NAN);
  };
}
std::function<void(Arguments&)> type(uint32_t role, Type other) {
  return [=](Arguments& a) {
    a.tensors[role] = std::make_shared<Tensor>(other, at(a, role).shape);
    a.tensors[role]->fill(0);
  };
}
std::function<void(Arguments&)> stride(uint32_t role, size_t dimension, int64_t value) {
  return [=](Arguments& a) {
    Tensor& t = at(a, role);
    Extents strides = t.strides;
    strides[dimension] = value;
    a.tensors[role] = std::make_shared<Tensor>(t.type(), t.shape, strides);
    a.tensors[role]->fill(NAN);
  };
}
std::function<void(Arguments&)> absent(uint32_t role) {
  return [=](Arguments& a) { a.tensors.erase(role); };
}
std::function<void(Arguments&)> numbers(uint32_t role, const std::vector<double>& values) {
  return [=](Arguments& a) { at(a, role).write(values); };
}

std::vector<Bad> wrong_descriptions() {
  static const lathe_attr unknown[] = {{"temperature", 1}};
  return {
      {"Size", good, [](Arguments& a) { a.desc.size = 3; }, LATHE_INVALID, {"size"}},
      {"NoOp", good, [](Arguments& a) { a.desc.op = nullptr; }, LATHE_INVALID, {"op"}},
      {"UnknownOp", good, [](Arguments& a) { a.desc.op = "casual"; }, LATHE_INVALID, {"casual", "causal"}},
      {"UnknownVariant", good, [](Arguments& a) { a.desc.variant = "dacey"; }, LATHE_INVALID, {"dacey", "decay"}},
      {"UnknownMap", good, [](Arguments& a) { a.desc.map = "elu2"; }, LATHE_INVALID, {"elu2", "elu1"}},
      {"UnknownFlag", good, [](Arguments& a) { a.desc.flags |= 1ull << 40; }, LATHE_INVALID, {"flag"}},
      {"UnknownAttr",
       good,
       [](Arguments& a) {
         a.desc.attrs = unknown;
         a.desc.n_attrs = 1;
       },
       LATHE_INVALID,
       {"temperature"}},
      {"NoMaxLength", cosformer, [](Arguments& a) { a.desc.n_attrs = 0; }, LATHE_INVALID, {"max_length"}},
      {"BoundWithoutNormaliser",
       good,
       [](Arguments& a) { a.desc.flags = LATHE_DENOM_MAX; },
       LATHE_INVALID,
       {"DENOM_MAX", "NORMALISE"}},
      {"ScaleIsNan", good, [](Arguments& a) { a.desc.scale = NAN; }, LATHE_INVALID, {"scale", "nan"}},
      {"NegativeEps", good, [](Arguments& a) { a.desc.eps = -1; }, LATHE_INVALID, {"eps", "-1"}},
      {"NoWayBack", decaying, [](Arguments& a) { a.desc.op = "noncausal"; }, LATHE_UNSUPPORTED, {"decay", "noncausal"}},
  };
}

std::vector<Bad> wrong_tensors() {
  return {
      {"NoQ", good, absent(LATHE_Q), LATHE_INVALID, {"Q"}},
      {"NoK", good, absent(LATHE_K), LATHE_INVALID, {"K"}},
      {"NoV", good, absent(LATHE_V), LATHE_INVALID, {"V"}},
      {"NoO", good, absent(LATHE_O), LATHE_INVALID, {"O"}},
      {"NoZIn", good, absent(LATHE_Z_IN), LATHE_INVALID, {"Z_IN", "STATE_IN"}},
      {"NoZOut", good, absent(LATHE_Z_OUT), LATHE_INVALID, {"Z_OUT", "STATE_OUT"}},
      {"NoDecay", decaying, absent(LATHE_DECAY), LATHE_INVALID, {"DECAY"}},
      {"NoProjection", projected, absent(LATHE_PROJECTION), LATHE_INVALID, {"PROJECTION"}},
      {"UnknownRole", good, [](Arguments& a) { a.tensors[999] = a.tensors[LATHE_Q]; }, LATHE_INVALID, {"999"}},
      {"Rank", good, [](Arguments& a) { at(a, LATHE_K).view.ndim = 3; }, LATHE_INVALID, {"K", "3"}},
      {"Lanes", good, [](Arguments& a) { at(a, LATHE_Q).view.lanes = 2; }, LATHE_INVALID, {"Q"}},
      {"Doubles", good, [](Arguments& a) { at(a, LATHE_V).view.bits = 64; }, LATHE_INVALID, {"V", "64"}},
      {"NoShape", good, [](Arguments& a) { at(a, LATHE_Q).view.shape = nullptr; }, LATHE_INVALID, {"Q", "shape"}},
      {"HalfState", good, type(LATHE_STATE_IN, Type::F16), LATHE_INVALID, {"STATE_IN", "float32", "16"}},
      {"IntegerQ", good, type(LATHE_Q, Type::I32), LATHE_INVALID, {"Q", "float32"}},
      {"FloatLengths", with_lengths, type(LATHE_LENGTHS, Type::F32), LATHE_INVALID, {"LENGTHS", "int32"}},
      {"BatchOfK", good, extent(LATHE_K, 0, 3), LATHE_INVALID, {"K", "2", "3"}},
      {"TokensOfK", good, extent(LATHE_K, 1, 7), LATHE_INVALID, {"K", "6", "7"}},
      {"TokensOfV", good, extent(LATHE_V, 1, 5), LATHE_INVALID, {"V", "6", "5"}},
      {"WidthOfK", good, extent(LATHE_K, 3, 9), LATHE_INVALID, {"K", "4", "9"}},
      {"HeadsOfK", good, extent(LATHE_K, 2, 3), LATHE_INVALID, {"K", "3"}},
      {"HeadsOfO", good, extent(LATHE_O, 2, 7), LATHE_INVALID, {"O", "2", "7"}},
      {"WidthOfO", good, extent(LATHE_O, 3, 8), LATHE_INVALID, {"O", "5", "8"}},
      {"TokensOfO", good, extent(LATHE_O, 1, 9), LATHE_INVALID, {"O", "6", "9"}},
      {"Negative", good, [](Arguments& a) { at(a, LATHE_Q).shape[1] = -2; }, LATHE_INVALID, {"Q", "-2"}},
      {"NoWidth", good, extent(LATHE_V, 3, 0), LATHE_INVALID, {"V", "0"}},
      {"RowsOfState", good, extent(LATHE_STATE_IN, 0, 3), LATHE_INVALID, {"STATE_IN", "2", "3"}},
      {"HeadsOfState", good, extent(LATHE_STATE_OUT, 1, 3), LATHE_INVALID, {"STATE_OUT", "2", "3"}},
      {"KeysOfState", good, extent(LATHE_STATE_IN, 2, 9), LATHE_INVALID, {"STATE_IN", "4", "9"}},
      {"WidthOfZ", good, extent(LATHE_Z_OUT, 2, 9), LATHE_INVALID, {"Z_OUT", "4", "9"}},
      {"CountOfLengths", with_lengths, extent(LATHE_LENGTHS, 0, 3), LATHE_INVALID, {"LENGTHS", "2", "3"}},
      {"CountOfSlots", with_slots, extent(LATHE_SLOTS, 0, 3), LATHE_INVALID, {"SLOTS", "2", "3"}},
      {"CountOfDecays", decaying, extent(LATHE_DECAY, 0, 3), LATHE_INVALID, {"DECAY", "2", "3"}},
      {"WidthOfProjection", projected, extent(LATHE_PROJECTION, 1, 9), LATHE_INVALID, {"PROJECTION", "16", "9"}},
      {"PackedBatch",
       with_slots,
       [](Arguments& a) {
         a.tensors[LATHE_CU_SEQLENS] = std::make_shared<Tensor>(Type::I64, Extents{3});
         at(a, LATHE_CU_SEQLENS).write({0, 2, 6});
       },
       LATHE_INVALID,
       {"CU_SEQLENS", "1", "2"}},
      {"LastStrideOfQ", good, stride(LATHE_Q, 3, 2), LATHE_INVALID, {"Q", "stride", "2"}},
      {"LastStrideOfO", good, stride(LATHE_O, 3, 2), LATHE_INVALID, {"O", "stride", "2"}},
      {"InnerStrideOfState", good, stride(LATHE_STATE_OUT, 2, 6), LATHE_INVALID, {"STATE_OUT", "5", "6"}},
      {"OutputOverItself", good, stride(LATHE_O, 2, 0), LATHE_INVALID, {"O", "stride"}},
      {"OutputOverNeighbour", good, stride(LATHE_O, 2, 3), LATHE_INVALID, {"O"}},
      {"Device", good, [](Arguments& a) { at(a, LATHE_K).view.device_type = 2; }, LATHE_INVALID, {"K", "device"}},
      {"TooWide",
       good,
       [](Arguments& a) {
         for (const uint32_t role : {LATHE_V, LATHE_O}) extent(role, 3, 1025)(a);
         for (const uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT}) extent(role, 3, 1025)(a);
       },
       LATHE_INVALID,
       {"V", "1024", "1025"}},
  };
}

std::vector<Bad> wrong_contents() {
  return {
      {"LengthTooLong", with_lengths, numbers(LATHE_LENGTHS, {6, 7}), LATHE_INVALID, {"LENGTHS", "6", "7"}},
      {"LengthNegative", with_lengths, numbers(LATHE_LENGTHS, {-1, 3}), LATHE_INVALID, {"LENGTHS", "-1"}},
      {"SeqlensFall", packed, numbers(LATHE_CU_SEQLENS, {0, 7, 6}), LATHE_INVALID, {"CU_SEQLENS", "7"}},
      {"SeqlensFallInside", packed, numbers(LATHE_CU_SEQLENS, {0, -1, 6}), LATHE_INVALID, {"CU_SEQLENS", "-1"}},
      {"SeqlensStartLate", packed, numbers(LATHE_CU_SEQLENS, {1, 2, 6}), LATHE_INVALID, {"CU_SEQLENS", "0", "1"}},
      {"SeqlensEndEarly", packed, numbers(LATHE_CU_SEQLENS, {0, 2, 5}), LATHE_INVALID, {"CU_SEQLENS", "6", "5"}},
      {"SeqlensEndLate", packed, numbers(LATHE_CU_SEQLENS, {0, 2, 8}), LATHE_INVALID, {"CU_SEQLENS", "6", "8"}},
      {"SlotTooLarge", with_slots, numbers(LATHE_SLOTS, {4, 5}), LATHE_INVALID, {"SLOTS", "5"}},
      {"SlotNegative", with_slots, numbers(LATHE_SLOTS, {-3, 1}), LATHE_INVALID, {"SLOTS", "-3"}},
      {"SlotTwice", with_slots, numbers(LATHE_SLOTS, {2, 2}), LATHE_INVALID, {"SLOTS", "2"}},
      {"DecayAboveOne", decaying, numbers(LATHE_DECAY, {-0.5, 0.25}), LATHE_INVALID, {"DECAY", "0.25"}},
      {"LengthsAndSeqlens",
       packed,
       [](Arguments& a) {
         a.tensors[LATHE_LENGTHS] = std::make_shared<Tensor>(Type::I64, Extents{1});
         at(a, LATHE_LENGTHS).write({6});
       },
       LATHE_INVALID,
       {"LENGTHS", "CU_SEQLENS"}},
      {"Misaligned",
       good,
       [](Arguments& a) { at(a, LATHE_V).view.data = static_cast<char*>(at(a, LATHE_V).view.data) - 2; },
       LATHE_INVALID,
       {"V", "align"}},
      {"NoData", good, [](Arguments& a) { at(a, LATHE_Q).view.data = nullptr; }, LATHE_INVALID, {"Q", "data"}},
      {"OutputIsInput",
       good,
       [](Arguments& a) { at(a, LATHE_Z_OUT).view.data = at(a, LATHE_STATE_OUT).view.data; },
       LATHE_INVALID,
       {"Z_OUT", "STATE_OUT", "overlap"}},
      {"StateBesideItself",
       good,
       [](Arguments& a) {
         a.tensors[LATHE_STATE_IN] = std::make_shared<Tensor>(Type::F32, Extents{3, 2, 4, 5});
         at(a, LATHE_STATE_IN).shape[0] = 2;
         at(a, LATHE_STATE_OUT).view.data = static_cast<float*>(at(a, LATHE_STATE_IN).view.data) + 20;
       },
       LATHE_INVALID,
       {"STATE_OUT", "STATE_IN", "overlap"}},
  };
}

class Refused : public testing::TestWithParam<Bad> {};

TEST_P(Refused, WithTheReasonAndNothingTouched) {
  const Bad& bad = GetParam();
  Arguments arguments("causal", bad.problem());
  bad.spoil(arguments);
  const Answer before = arguments.outputs();
  const Context context(1);
  const Plan plan(context, arguments);
  const lathe_status status = plan.status == LATHE_OK ? run(context, plan, arguments) : plan.status;
  EXPECT_EQ(status, bad.status) << context.error();
  EXPECT_EQ(plan.get() == nullptr, plan.status != LATHE_OK);
  for (const std::string& word : bad.mentions)
    EXPECT_NE(context.error().find(word), std::string::npos) << "'" << context.error() << "' lacks '" << word << "'";
  expect_same(arguments.outputs(), before, "outputs of a refused call");
  for (const auto& [role, tensor] : arguments.tensors) EXPECT_TRUE(tensor->surroundings_intact()) << role;
}

std::string printed(const testing::TestParamInfo<Bad>& test) { return test.param.name; }
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

INSTANTIATE_TEST_SUITE_P(Descriptions, Refused, testing::ValuesIn(wrong_descriptions()), printed);
INSTANTIATE_TEST_SUITE_P(Tensors, Refused, testing::ValuesIn(wrong_tensors()), printed);
INSTANTIATE_TEST_SUITE_P(Contents, Refused, testing::ValuesIn(wrong_contents()), printed);

// The problems that the table spoils are good ones.
TEST(Accepted, UnspoiledProblems) {
  for (Problem (*problem)() : {good, with_lengths, packed, with_slots, decaying, projected, cosformer})
    check("causal", problem());
}

}  // namespace
