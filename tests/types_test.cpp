// Every number of the half types is read as what it is, and every float32 near a tie is rounded as it should be.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/inputs.h"
#include "support/tolerance.h"

namespace {

using namespace support;

constexpr int64_t per_call = 1024;

// All finite numbers of a half type from zero up, in order, and infinity.
std::vector<double> positives(Type type) {
  const double epsilon = epsilon_of(type);
  std::vector<double> all = {0};
  while (std::isfinite(all.back())) {
    const double x = all.back();
    const double step = std::max(smallest_of(type), x == 0 ? 0 : std::ldexp(epsilon, std::ilogb(x)));
    all.push_back(rounded(type, x + step));
  }
  return all;
}

template <typename Visit>
void in_slices(std::vector<double> values, Visit visit) {
  values.resize((values.size() + per_call - 1) / per_call * per_call);
  for (size_t first = 0; first < values.size(); first += per_call)
    visit(std::vector<double>(values.begin() + static_cast<int64_t>(first),
                              values.begin() + static_cast<int64_t>(first) + per_call));
}

class HalfTypes : public testing::TestWithParam<Type> {
 protected:
  Options options = [] {
    Options o;
    o.type = GetParam();
    return o;
  }();
};

// One key whose value is 1: the state is the key.
TEST_P(HalfTypes, EveryNumberIsReadExactly) {
  std::vector<double> numbers = positives(options.type);
  for (size_t i = 0, n = numbers.size(); i < n; ++i) numbers.push_back(-numbers[i]);
  numbers.push_back(NAN);
  in_slices(numbers, [&](const std::vector<double>& keys) {
    Problem p;
    p.D = per_call;
    p.V = 1;
    p.k = keys;
    p.v = {1};
    expect_exact(call("accumulate", p, options), {{}, keys, {}, {}, {}}, options.type, "state");
  });
}

// One query of 1 reads a state: ties between neighbours, what lies a float32 to either side, and the neighbours.
TEST_P(HalfTypes, EveryTieIsRoundedToEven) {
  const std::vector<double> numbers = positives(options.type);
  std::vector<double> states;
  for (size_t i = 0; i + 2 < numbers.size(); ++i) {
    const auto tie = static_cast<float>((numbers[i] + numbers[i + 1]) / 2);
    const float infinity = std::numeric_limits<float>::infinity();
    for (const float x : {std::nextafter(tie, -infinity), tie, std::nextafter(tie, infinity)})
      states.push_back(i % 2 == 0 ? x : -x);
  }
  in_slices(states, [&](const std::vector<double>& row) {
    Problem p;
    p.D = 1;
    p.V = per_call;
    p.q = {1};
    p.state = row;
    expect_exact(call("readout", p, options), {row, {}, {}, {}, {}}, options.type, "o");
  });
}

INSTANTIATE_TEST_SUITE_P(Types, HalfTypes, testing::Values(Type::F16, Type::BF16),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
