#include "tolerance.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "gradients.h"
#include "inputs.h"

namespace support {
namespace {

struct Part {
  const char* name;
  std::vector<double> Answer::*values;
  bool is_output;  // of the type of the call; the others are float32
};
constexpr Part parts[] = {{"o", &Answer::o, true},
                          {"state", &Answer::state, false},
                          {"z", &Answer::z, false},
                          {"stabiliser", &Answer::stabiliser, false},
                          {"momentum", &Answer::momentum, false},
                          {"last", &Answer::last, false},
                          {"snapshots", &Answer::snapshots, false}};

bool same_bits(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// The error in epsilons, after one rounding to the type was granted.
double error(double got, double want, double size, Type type) {
  if (std::isnan(want) || std::isinf(want)) return same_bits(got, want) ? 0 : INFINITY;
  double granted = smallest_of(type);
  if (type != Type::F32) granted += std::abs(want) * epsilon_of(type) / 2;
  const double excess = std::abs(got - want) - granted;
  if (std::isnan(excess)) return INFINITY;
  return excess <= 0 ? 0 : excess / (epsilon_of(Type::F32) * size);
}

struct Worst {
  size_t at = 0;
  double error = 0;
};

Worst worst_of(const std::vector<double>& got, const std::vector<double>& want, const std::vector<double>& size,
               Type type) {
  Worst worst;
  for (size_t i = 0; i < got.size(); ++i)
    if (const double e = error(got[i], want[i], size[i], type); e > worst.error) worst = {i, e};
  return worst;
}

}  // namespace

void expect_values_near(const std::vector<double>& got, const std::vector<double>& want,
                        const std::vector<double>& size, Type type, double n_eps, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  const auto [at, error] = worst_of(got, want, size, type);
  if (error > n_eps)
    ADD_FAILURE() << fmt::format("{}[{}] is {} and should be {}: {:.3g} epsilons of its size {:.3g}, {} allowed", what,
                                 at, got[at], want[at], error, size[at], n_eps);
}

void expect_near(const Answer& got, const Answer& other, const Answer& size, Type type, double n_eps,
                 const std::string& what) {
  for (const Part& part : parts)
    if (!(got.*part.values).empty())
      expect_values_near(got.*part.values, other.*part.values, size.*part.values, part.is_output ? type : Type::F32,
                         n_eps, what + ": " + part.name);
}

double worst_error(const Answer& got, const reference::Answers& want, Type type) {
  double worst = 0;
  for (const Part& part : parts) {
    const std::vector<double>&values = got.*part.values, &wanted = want.value.*part.values;
    if (values.empty()) continue;
    if (values.size() != wanted.size()) return INFINITY;
    worst = std::max(worst, worst_of(values, wanted, want.size.*part.values, part.is_output ? type : Type::F32).error);
  }
  return worst;
}

void expect_close(const Answer& got, const reference::Answers& want, Type type, double n_eps, const std::string& what) {
  expect_near(got, want.value, want.size, type, n_eps, what);
}

double epsilons_of(const Problem& problem) { return reference::variants().at(problem.variant).epsilons; }

void expect_answer(const Answer& got, const std::string& op, const Problem& problem, const Options& options) {
  expect_close(got, reference::operators().at(op)(problem), options.type, epsilons_of(problem),
               Arguments(op, problem, options).text());
}

void check(const std::string& op, const Problem& problem, const Options& options) {
  if (is_backward(op)) {
    const std::string of = op.substr(0, op.find('_'));
    return check_backward(of, problem, given_reals(problem, options.type, 77, options.states), options);
  }
  expect_answer(call(op, problem, options), op, problem, options);
}

void expect_same(const std::vector<double>& got, const std::vector<double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    if (!same_bits(got[i], want[i])) {
      ADD_FAILURE() << fmt::format("{}[{}] is {} and should be, to the bit, {}", what, i, got[i], want[i]);
      return;
    }
}

void expect_same(const Answer& got, const Answer& want, const std::string& what) {
  for (const Part& part : parts) expect_same(got.*part.values, want.*part.values, what + ": " + part.name);
}

void expect_exact(std::vector<double> got, std::vector<double> want, Type type, const std::string& what) {
  // Adding zero makes -0 into 0: the sign of a zero is the order of a sum, not its value.
  for (double& x : want) x = rounded(type, x) + 0.0;
  for (double& x : got) x += 0.0;
  expect_same(got, want, what);
}

void expect_exact(const Answer& got, const Answer& want, Type type, const std::string& what) {
  for (const Part& part : parts)
    if (!(got.*part.values).empty())
      expect_exact(got.*part.values, want.*part.values, part.is_output ? type : Type::F32, what + ": " + part.name);
}

}  // namespace support
