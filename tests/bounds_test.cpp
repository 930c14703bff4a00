// The bounds that docs/operators.md states for functions of one number, held against float64: a sample of all floats of
// the domain, or with LATHE_BOUNDS_STRIDE=1 every one. The table is read, not repeated.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "support/call.h"

namespace {

using namespace support;

struct Bound {
  std::string function;
  double from, to, error;
  bool of_one;  // counted in epsilons of 1, not in ulp: distances to the next float at the result
};

std::vector<Bound> stated() {
  std::ifstream in(LATHE_OPERATORS_MD);
  std::vector<Bound> bounds;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    inside = (inside || line == "<!-- bounds:begin -->") && line != "<!-- bounds:end -->";
    if (!inside || !line.starts_with("| `")) continue;
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '|' || c == '`'; }, ' ');
    std::istringstream cells(line);
    Bound b;
    std::string unit;
    cells >> b.function >> b.from >> b.to >> b.error >> unit;
    if (cells.fail() || (unit != "ulp" && unit != "epsilons")) throw std::runtime_error("cannot read: " + line);
    b.of_one = unit == "epsilons";
    bounds.push_back(b);
  }
  return bounds;
}

struct Function {
  const char *name, *map;
  int64_t part;   // of the map's output, sixteen columns each
  double factor;  // that the map puts on it, a power of two
  double (*value)(double x);
};
const std::vector<Function> functions = {
    {"identity", "identity", 0, 1, [](double x) { return x; }},
    {"relu", "relu", 0, 1, [](double x) { return x > 0 ? x : 0; }},
    {"relu2", "relu2", 0, 1, [](double x) { return x > 0 ? x * x : 0; }},
    {"elu1", "elu1", 0, 1, [](double x) { return x > 0 ? x + 1 : std::exp(x); }},
    {"exp", "exp", 0, 1, [](double x) { return std::exp(x); }},
    {"silu", "silu", 0, 1, [](double x) { return x / (1 + std::exp(-x)); }},
    {"cos", "rff", 0, 0.25, [](double x) { return std::cos(x); }},
    {"sin", "rff", 1, 0.25, [](double x) { return std::sin(x); }},
};

// Sixteen numbers to a token, mapped as queries that read a state of ones on the diagonal, or as keys whose state is
// read: sums in which all terms but one are zero.
class Through {
 public:
  static constexpr int64_t kWidth = 16;
  const int64_t size;  // numbers to a call

  Through(const Function& function, bool keys)
      : size(kWidth * (keys ? 1 : 4096)), op_(keys ? "accumulate" : "readout"), part_(function.part) {
    problem_.map = function.map;
    problem_.D = kWidth;
    problem_.T = size / kWidth;
    if (problem_.map == "rff") {
      problem_.M = kWidth;
      problem_.attrs = {{"tau", 1}};
      problem_.projection.assign(kWidth * kWidth, 0);
      for (int64_t i = 0; i < kWidth; ++i) problem_.projection[i * kWidth + i] = 1;
    }
    columns_ = reference::map_width(problem_);
    problem_.V = keys ? 1 : columns_;
    problem_.q.assign(size, 0);
    problem_.k.assign(size, 0);
    problem_.v.assign(keys ? 1 : size / kWidth * columns_, 1);
    if (!keys) problem_.state.assign(columns_ * columns_, 0);
    for (int64_t i = 0; i < columns_ && !keys; ++i) problem_.state[i * columns_ + i] = 1 / function.factor;
    arguments_ = std::make_unique<Arguments>(op_, problem_);
    plan_ = std::make_unique<Plan>(shared_context(1), *arguments_);
    EXPECT_EQ(plan_->status, LATHE_OK) << shared_context(1).error();
  }

  const std::vector<float>& operator()(const std::vector<float>& x) {
    const bool keys = op_ == std::string("accumulate");
    auto* in = static_cast<float*>(arguments_->tensors.at(keys ? LATHE_K : LATHE_Q)->view.data);
    std::copy(x.begin(), x.end(), in);
    EXPECT_EQ(run(shared_context(1), *plan_, *arguments_), LATHE_OK) << shared_context(1).error();
    const auto* out = static_cast<const float*>(arguments_->tensors.at(keys ? LATHE_STATE_OUT : LATHE_O)->view.data);
    y_.resize(x.size());
    for (size_t i = 0; i < x.size(); ++i) y_[i] = out[i / kWidth * columns_ + part_ * kWidth + i % kWidth];
    return y_;
  }

 private:
  const char* op_;
  int64_t part_, columns_ = 0;
  Problem problem_;
  std::unique_ptr<Arguments> arguments_;
  std::unique_ptr<Plan> plan_;
  std::vector<float> y_;
};

double ulp_of(double y) {
  const double size = std::max(std::abs(y), static_cast<double>(std::numeric_limits<float>::min()));
  return std::ldexp(1, std::ilogb(size) - 23);
}

// A prime, so that a sample has every pattern of low bits.
uint32_t stride() {
  const char* asked = std::getenv("LATHE_BOUNDS_STRIDE");
  return asked == nullptr ? 1009 : static_cast<uint32_t>(std::strtoul(asked, nullptr, 10));
}

class Bounds : public testing::TestWithParam<Bound> {
 protected:
  const Function& function() const {
    return *std::find_if(functions.begin(), functions.end(),
                         [](const Function& f) { return f.name == GetParam().function; });
  }

  // Every step-th float of the domain, by its bits, and its ends.
  template <typename Visit>
  void each(uint32_t step, Visit visit) const {
    const auto [name, from, to, error, of_one] = GetParam();
    for (const float end : {static_cast<float>(from), static_cast<float>(to)}) visit(end);
    for (const uint32_t sign : {0u, 0x80000000u})
      for (uint64_t bits = 0; bits < 0x7f800000u; bits += step) {
        const float x = std::bit_cast<float>(static_cast<uint32_t>(bits) | sign);
        if (x < from && sign == 0) continue;
        if (x > to || x < from) {
          if (std::abs(x) > std::max(std::abs(from), std::abs(to))) break;
          continue;
        }
        visit(x);
      }
  }

  void check(Through through, double factor, uint32_t step) const {
    double worst = 0;
    float worst_x = 0, worst_y = 0;
    std::vector<float> xs;
    const auto flush = [&] {
      const std::vector<float>& ys = through(xs);
      for (size_t i = 0; i < xs.size(); ++i) {
        const double want = function().value(xs[i]), got = ys[i] / factor;
        const double error = std::abs(got - want) / (GetParam().of_one ? 0x1p-23 : ulp_of(want));
        if (error > worst || std::isnan(error)) {
          worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
          worst_x = xs[i];
          worst_y = static_cast<float>(got);
        }
      }
      xs.clear();
    };
    int64_t count = 0;
    each(step, [&](float x) {
      xs.push_back(x);
      ++count;
      if (static_cast<int64_t>(xs.size()) == through.size) flush();
    });
    xs.resize(through.size, 1);
    flush();
    EXPECT_GT(count, 1000) << "too few numbers say nothing";
    EXPECT_LE(worst, GetParam().error) << fmt::format("at x = {:.9g}, which gives {:.9g}", worst_x, worst_y);
    RecordProperty("worst", fmt::format("{:.4f}", worst));
  }
};

TEST_P(Bounds, HoldForQueries) { check(Through(function(), false), 1, stride()); }

// The same formula in another kernel; it takes one token to a call, and so a part of the sample.
TEST_P(Bounds, HoldForKeys) { check(Through(function(), true), function().factor, 64 * 1009); }

INSTANTIATE_TEST_SUITE_P(Stated, Bounds, testing::ValuesIn(stated()),
                         [](const auto& test) { return fmt::format("{}_{}", test.param.function, test.index); });

TEST(BoundsTable, StatesEveryFunction) {
  for (const Function& f : functions) {
    const auto bounds = stated();
    EXPECT_TRUE(std::any_of(bounds.begin(), bounds.end(), [&](const Bound& b) { return b.function == f.name; }))
        << f.name;
  }
}

// Quiet and signalling ones, of either sign, with any payload.
TEST(BoundsTable, NanInIsNanOut) {
  for (const Function& f : functions)
    for (const bool keys : {false, true}) {
      Through through(f, keys);
      for (const uint32_t bits :
           {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu, 0x7fa5a5a5u}) {
        std::vector<float> xs(through.size, 1);
        for (size_t i = 0; i < xs.size(); i += Through::kWidth + 1) xs[i] = std::bit_cast<float>(bits);
        const std::vector<float> ys = through(xs);
        for (size_t i = 0; i < xs.size(); i += Through::kWidth + 1)
          ASSERT_TRUE(std::isnan(ys[i])) << f.name << (keys ? " of a key" : " of a query")
                                         << fmt::format(" {:x}", bits);
      }
    }
}

}  // namespace
