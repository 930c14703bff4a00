// Every argument of every operator, spoiled in every way: refused with the right status and a message that names the
// argument, what was expected and what came; and no tensor is touched. The table is made: operators, from the library's
// own list, times calls that between them bring every role, times ways to spoil a tensor of such a role.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/inputs.h"
#include "support/spoiled.h"
#include "support/tolerance.h"

namespace {

using namespace support;

constexpr int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();

// Q and K [2,6,2,4], V and O [2,6,2,5], states [2,2,4,5], normalisers [2,2,4].
Problem whole() {
  Problem p;
  p.map = "elu1";
  p.B = 2;
  p.T = 6;
  p.HQ = p.HK = p.HV = 2;
  p.V = 5;
  p.normalise = true;
  p.eps = 1e-6;
  return p;
}

bool scans(const std::string& op) { return op == "causal" || op == "decode"; }
bool has_direction(const std::string& op) { return scans(op) || op == "causal_backward"; }

struct Shape {
  const char* name;
  std::function<void(Problem&)> change;
  std::function<bool(const std::string& op)> suits;
};

// Calls that between them bring every role that an operator takes.
const std::vector<Shape>& shapes() {
  const auto any = [](const std::string&) { return true; };
  static const std::vector<Shape> all = {
      {"states", [](Problem&) {}, any},
      {"lengths",
       [](Problem& p) {
         p.lengths = {6, 3};
       },
       any},
      {"packed",
       [](Problem& p) {
         p.B = 1;
         p.cu_seqlens = {0, 2, 4, 6};
       },
       any},
      {"slots",
       [](Problem& p) {
         p.state_rows = 5;
         p.slots = {4, 1};
       },
       any},
      {"projected", [](Problem& p) { p = with_map(p, "favor"); }, any},
      {"positions",
       [](Problem& p) {
         p = with_map(p, "cosformer");
         p.position = {3, 0};
       },
       any},
      {"stabilised",
       [](Problem& p) {
         p = with_map(p, "favor_performer");
         p.stabilise = true;
       },
       any},
      {"decaying", [](Problem& p) { p.variant = "decay"; }, has_direction},
      {"gated", [](Problem& p) { p.variant = "gate"; }, has_direction},
      {"gatedbykey", [](Problem& p) { p.variant = "gate_key"; }, has_direction},
      {"bonus", [](Problem& p) { p.variant = "rwkv6"; }, has_direction},
      {"corrected", [](Problem& p) { p.variant = "delta"; }, has_direction},
      {"gatedandcorrected", [](Problem& p) { p.variant = "gated_delta"; }, has_direction},
      {"gatedbykeyandcorrected", [](Problem& p) { p.variant = "kda"; }, has_direction},
      {"readandadded", [](Problem& p) { p.variant = "rwkv7"; }, scans},
      {"steps", [](Problem& p) { p.variant = "ssd"; }, has_direction},
      {"mixed", [](Problem& p) { p.keys = 2; }, [](const std::string& op) { return op != "readout"; }},
      {"moving", [](Problem& p) { p.variant = "momentum"; }, has_direction},
      {"adapting", [](Problem& p) { p.variant = "adaptive_momentum"; }, scans},
      {"foreseeing", [](Problem& p) { p.variant = "momentum_training"; },
       [](const std::string& op) { return has_direction(op) && op != "decode"; }},
      {"snapshots", [](Problem& p) { p.snapshots = true; }, [](const std::string& op) { return op == "decode"; }},
  };
  return all;
}

Problem problem_of(const Shape& shape) {
  Problem p = whole();
  shape.change(p);
  return reals(p, Type::F32, 91, true);
}

// Outputs begin as numbers that a wrong write would change: a NaN written over a NaN would not show.
std::unique_ptr<Arguments> good_call(const std::string& op, const Shape& shape) {
  auto arguments = std::make_unique<Arguments>(op, problem_of(shape));
  for (const auto& [role, tensor] : arguments->tensors)
    if (roles().at(role).output && role != LATHE_STABILISER) tensor->fill(0.75);
  return arguments;
}

using Spoils = std::vector<Spoil>;

void descriptors(Spoils& all, uint32_t role) {
  const auto view = [&](const std::string& name, const std::vector<std::string>& words,
                        const std::function<void(lathe_tensor&)>& change) {
    all.push_back({name, [=](SpoiledCall& c) { change(c[role].view); }, LATHE_INVALID, words, role});
  };
  view("without data", {"null"}, [](lathe_tensor& t) { t.data = nullptr; });
  view("misaligned", {"aligned"}, [](lathe_tensor& t) { t.data = static_cast<char*>(t.data) + 1; });
  view("offset misaligned", {"aligned"}, [](lathe_tensor& t) { t.byte_offset = 2; });
  view("offset past memory", {"byte_offset", "18446744073709551608"}, [](lathe_tensor& t) { t.byte_offset = -8; });
  view("without shape", {"shape"}, [](lathe_tensor& t) { t.shape = nullptr; });
  for (const int32_t device : {0, 2, 7, -1})
    view(fmt::format("on device {}", device), {"device", std::to_string(device)},
         [=](lathe_tensor& t) { t.device_type = device; });
  const Role& rule = roles().at(role);
  for (const int32_t rank : {0, -1, 8, 1 << 30, rule.min_rank - 1, rule.max_rank + 1})
    view(fmt::format("of rank {}", rank), {"dimensions", std::to_string(rank)},
         [=](lathe_tensor& t) { t.ndim = rank; });
}

struct Format {
  uint8_t code, bits;
  uint16_t lanes;
};

bool is_legal(Kind kind, const Format& f) {
  if (f.lanes != 1) return false;
  if (kind == Kind::Integer) return f.code == 0 && (f.bits == 32 || f.bits == 64);
  const bool float32 = f.code == 2 && f.bits == 32, half = (f.code == 2 || f.code == 4) && f.bits == 16;
  return float32 || (kind == Kind::Float && half);
}

void types(Spoils& all, uint32_t role) {
  for (const Format f : {Format{2, 32, 1},
                         {2, 16, 1},
                         {4, 16, 1},
                         {2, 64, 1},
                         {2, 8, 1},
                         {4, 32, 1},
                         {0, 32, 1},
                         {0, 64, 1},
                         {0, 16, 1},
                         {0, 8, 1},
                         {1, 32, 1},
                         {1, 64, 1},
                         {5, 64, 1},
                         {2, 32, 2},
                         {2, 32, 0},
                         {2, 16, 4},
                         {2, 0, 1},
                         {0, 32, 2}}) {
    if (is_legal(roles().at(role).kind, f)) continue;
    const auto spoil = [=](SpoiledCall& c) {
      c[role].view.code = f.code;
      c[role].view.bits = f.bits;
      c[role].view.lanes = f.lanes;
    };
    all.push_back({fmt::format("of type {} {} {}", f.code, f.bits, f.lanes),
                   spoil,
                   LATHE_INVALID,
                   {std::to_string(f.code), std::to_string(f.bits), std::to_string(f.lanes)},
                   role});
  }
}

void extents(Spoils& all, const std::string& op, uint32_t role, SpoiledCall& good) {
  const SpoiledCall::Argument& argument = good[role];
  for (int32_t d = 0; d < argument.view.ndim; ++d) {
    const auto at = static_cast<size_t>(d);
    const int64_t now = argument.shape[at];
    for (const int64_t extent : {low, int64_t{-2}, int64_t{-1}, int64_t{0}, now - 1, now + 1, int64_t{1} << 33,
                                 (int64_t{1} << 40) + 1, int64_t{1} << 62, high}) {
      // Legal alone, wrong beside the others: a message may tell what follows from it instead. Features come from a
      // projection's rows and a head width, and of offsets there is one more than of sequences.
      const bool legal = extent > 0 && extent < int64_t{1} << 40;
      const bool alone = (op == "readout" && role == LATHE_Q) || (op == "accumulate" && role == LATHE_K);
      std::vector<std::string> words = {std::to_string(legal && role == LATHE_CU_SEQLENS ? extent - 1 : extent)};
      if (legal && ((role == LATHE_PROJECTION && d == 0) || (alone && d == 3))) words.clear();
      // a readout has no keys: one head of z is another grouping, as good as two
      if (op == "readout" && role == LATHE_Z_IN && d == 1 && extent == 1) continue;
      // and so is one head of keys where no normaliser follows it
      if (role == LATHE_K && d == 2 && extent == 1 && !good.has(LATHE_Z_IN)) continue;
      all.push_back({fmt::format("with extent {} of dimension {}", extent, d),
                     [=](SpoiledCall& c) { c[role].shape[at] = extent; }, LATHE_INVALID, words, role, true});
    }
  }
}

void strides(Spoils& all, uint32_t role, const SpoiledCall::Argument& argument) {
  const Role& rule = roles().at(role);
  const auto add = [&](size_t d, int64_t stride, const std::vector<std::string>& words) {
    all.push_back({fmt::format("with stride {} of dimension {}", stride, d),
                   [=](SpoiledCall& c) { c[role].strides[d] = stride; }, LATHE_INVALID, words, role});
  };
  // the heads of gates need not be dense, their keys must
  const int32_t dense = (role & ~uint32_t{LATHE_GRAD}) == LATHE_GATE && argument.view.ndim == 4 ? 1 : rule.dense;
  for (int32_t i = 0; i < argument.view.ndim; ++i) {
    const auto d = static_cast<size_t>(i);
    if (argument.shape[d] == 1) continue;
    const int64_t now = argument.strides[d];
    if (i >= argument.view.ndim - dense)
      for (const int64_t stride : {now + 1, 2 * now, int64_t{0}, -now})
        add(d, stride, {"stride", std::to_string(stride)});
    for (const int64_t stride : {low, high, int64_t{1} << 62, -(int64_t{1} << 62), int64_t{1} << 61})
      add(d, stride, {"stride", std::to_string(stride)});
    // below the first address there is
    if (i < argument.view.ndim - dense) add(d, -(int64_t{1} << 47), {"strides"});
    if (rule.output && i < argument.view.ndim - dense)
      for (const int64_t stride : {int64_t{0}, now - 1, 1 - now})
        if (d + 1 < static_cast<size_t>(argument.view.ndim) || stride == 0) add(d, stride, {"overlap"});
  }
}

// Both in one allocation: at the same place, at the other's last element, and one element into it.
void aliases(Spoils& all, uint32_t role, SpoiledCall& good) {
  for (const auto& [other, rule] : roles()) {
    if (other == role || !good.has(other)) continue;
    const SpoiledCall::Argument& b = good[other];
    const int64_t bytes = b.view.bits / 8, last = (b.elements() - 1) * bytes;
    const bool state = (role == LATHE_STATE_OUT && other == LATHE_STATE_IN) ||
                       (role == LATHE_Z_OUT && other == LATHE_Z_IN) ||
                       (role == LATHE_MOMENTUM_OUT && other == LATHE_MOMENTUM_IN) ||
                       (role == LATHE_LAST_TOKEN_OUT && other == LATHE_LAST_TOKEN_IN);
    for (const int64_t offset : {int64_t{0}, bytes, last}) {
      if (state && offset == 0) continue;
      all.push_back({fmt::format("{} bytes into {}", offset, rule.name),
                     [role, other = other, offset](SpoiledCall& c) {
                       c[role].view.data = static_cast<char*>(c[other].view.data) + offset;
                     },
                     LATHE_INVALID,
                     {"overlaps", rule.name},
                     role});
    }
  }
}

void contents(Spoils& all, uint32_t role, const SpoiledCall::Argument& argument) {
  const auto integers = [&](const std::vector<int64_t>& values, int64_t wrong) {
    all.push_back({fmt::format("holding {}", wrong),
                   [=](SpoiledCall& c) { c.put_integers(role, values); },
                   LATHE_INVALID,
                   {std::to_string(wrong)},
                   role});
  };
  if (role == LATHE_LENGTHS)
    for (const int64_t x : {int64_t{-1}, int64_t{7}, low, high}) {
      integers({x, 3}, x);
      integers({6, x}, x);
    }
  if (role == LATHE_CU_SEQLENS) {
    for (const int64_t x : {int64_t{1}, int64_t{-1}, low, high}) integers({x, 2, 4, 6}, x);
    for (const int64_t x : {int64_t{-1}, int64_t{1}, int64_t{7}, low, high}) integers({0, 2, x, 6}, x);
    for (const int64_t x : {int64_t{1}, int64_t{5}, int64_t{7}, low, high}) integers({0, 2, 4, x}, x);
  }
  if (role == LATHE_SLOTS)
    for (const int64_t x : {int64_t{-1}, int64_t{5}, low, high}) {
      integers({x, 1}, x);
      integers({4, x}, x);
    }
  if (role == LATHE_SLOTS) integers({3, 3}, 3);
  if (role == LATHE_POSITION)
    for (const int64_t x : {int64_t{-1}, (int64_t{1} << 30) + 1, low, high}) integers({0, x}, x);
  if (role == LATHE_DECAY)
    for (const float x : {0.25F, INFINITY, NAN})
      all.push_back({fmt::format("holding {}", x),
                     [=](SpoiledCall& c) {
                       c.put_floats(role, {-1, x});
                     },
                     LATHE_INVALID,
                     {fmt::format("{}", x)},
                     role});
  if (role == LATHE_STEP_SIZE)
    for (const float x : {-INFINITY, NAN})
      all.push_back({fmt::format("holding {}", x),
                     [=](SpoiledCall& c) {
                       c.put_floats(role, {1, x});
                     },
                     LATHE_INVALID,
                     {"STEP_SIZE[1]", fmt::format("{}", x)},
                     role});
  if (role == LATHE_DT)
    for (const float x : {-3.0F, -INFINITY}) {
      std::vector<float> steps(static_cast<size_t>(argument.elements()), 1);
      steps.back() = x;
      all.push_back({fmt::format("holding {}", x),
                     [=](SpoiledCall& c) { c.put_floats(role, steps); },
                     LATHE_INVALID,
                     {"DT[1,5,1]"},
                     role});
    }
  if (role == LATHE_BETA)
    for (const float x : {-1e-30F, 1.0000001F, INFINITY, -INFINITY}) {
      std::vector<float> betas(static_cast<size_t>(argument.elements()), 1);
      betas.back() = x;
      all.push_back({fmt::format("holding {}", x),
                     [=](SpoiledCall& c) { c.put_floats(role, betas); },
                     LATHE_INVALID,
                     {"BETA[1,5,1]", fmt::format("{}", x)},
                     role});
    }
  if (role == LATHE_GATE)
    for (const float x : {1e-30F, 0.25F, INFINITY}) {
      std::vector<float> gates(static_cast<size_t>(argument.elements()), -1);
      gates.back() = x;
      all.push_back({fmt::format("holding {}", x),
                     [=](SpoiledCall& c) { c.put_floats(role, gates); },
                     LATHE_INVALID,
                     {argument.view.ndim == 3 ? "GATE[1,5,1]" : "GATE[1,5,1,3]", fmt::format("{}", x)},
                     role});
    }
}

void presence(Spoils& all, const std::string& op, uint32_t role, const SpoiledCall& good) {
  all.push_back({"given twice", [=](SpoiledCall& c) { c.add(role, c[role].view); }, LATHE_INVALID, {"twice"}, role});
  // half of a pair of state and normaliser, and what a variant, a map or a flag needs, counts as well
  const bool paired = role != LATHE_LENGTHS && role != LATHE_CU_SEQLENS && role != LATHE_SLOTS &&
                      role != LATHE_POSITION && role != LATHE_SNAPSHOTS && role != LATHE_DT_BIAS &&
                      role != LATHE_SKIP && role != LATHE_OUT_GATE && !(role & LATHE_GRAD) &&
                      (good.has(LATHE_Z_IN) || (role != LATHE_STATE_IN && role != LATHE_STATE_OUT));
  if (paired || needed_by(op).contains(role))
    all.push_back({"left out", [=](SpoiledCall& c) { c.drop(role); }, LATHE_INVALID, {"none"}, role, true});
}

Spoils spoils_of(const std::string& op, uint32_t role, SpoiledCall& good) {
  Spoils all;
  descriptors(all, role);
  types(all, role);
  extents(all, op, role, good);
  strides(all, role, good[role]);
  if (roles().at(role).output) aliases(all, role, good);
  contents(all, role, good[role]);
  presence(all, op, role, good);
  return all;
}

using OpAndShape = std::tuple<std::string, size_t>;

std::vector<OpAndShape> suitable() {
  std::vector<OpAndShape> all;
  for (const std::string& op : operators())
    for (size_t i = 0; i < shapes().size(); ++i)
      if (shapes()[i].suits(op)) all.emplace_back(op, i);
  return all;
}

class Refusals : public testing::TestWithParam<OpAndShape> {
 protected:
  const std::string op = std::get<0>(GetParam());
  const Shape& shape = shapes().at(std::get<1>(GetParam()));
};

TEST_P(Refusals, OfEveryArgumentSpoiledInEveryWay) {
  const auto good = good_call(op, shape);
  const Refuser refuser(*good);
  SpoiledCall whole_call(*good);
  for (const auto& [role, tensor] : good->tensors)
    for (const Spoil& spoil : spoils_of(op, role, whole_call)) refuser.expect_refused(spoil);
}

// The calls that are spoiled are good ones.
TEST_P(Refusals, NotWhenNothingIsSpoiled) { check(op, problem_of(shape)); }

INSTANTIATE_TEST_SUITE_P(Ops, Refusals, testing::ValuesIn(suitable()), [](const auto& test) {
  return fmt::format("{}_{}", std::get<0>(test.param), shapes()[std::get<1>(test.param)].name);
});

class RolesOf : public testing::TestWithParam<std::string> {};

// A role that no call above brings must be one that the operator refuses: else the table has a hole.
TEST_P(RolesOf, AreAllInTheTableOrRefused) {
  std::set<uint32_t> covered;
  for (const Shape& shape : shapes()) {
    if (!shape.suits(GetParam())) continue;
    const auto good = good_call(GetParam(), shape);
    for (const auto& [role, tensor] : good->tensors) covered.insert(role);
  }
  const auto good = good_call(GetParam(), shapes().front());
  const Refuser refuser(*good);
  for (uint32_t role = 0; role < 70; ++role)
    for (const uint32_t asked : {role, role | LATHE_GRAD}) {
      if (covered.contains(asked)) continue;
      const bool known = roles().contains(asked);
      const Spoil spoil{fmt::format("with role {}", asked),
                        [&](SpoiledCall& c) { c.add(asked, good->tensors.begin()->second->view); },
                        LATHE_INVALID,
                        {known ? "none" : std::to_string(asked)},
                        asked};
      refuser.expect_refused(spoil);
    }
}

INSTANTIATE_TEST_SUITE_P(Ops, RolesOf, testing::ValuesIn(operators()), [](const auto& test) { return test.param; });

// All alike: no tensor disagrees with another, and none lies where anybody computes.
TEST(Refusals, OfMemoryThatNobodyKnows) {
  const Arguments arguments("causal", reals(two_heads("plain"), Type::F32, 3));
  for (const auto& [role, tensor] : arguments.tensors) tensor->view.device_type = 7;
  EXPECT_EQ(Plan(shared_context(1), arguments).status, LATHE_INVALID);
  EXPECT_NE(shared_context(1).error().find("device type 7"), std::string::npos) << shared_context(1).error();
}

}  // namespace
