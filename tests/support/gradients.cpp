#include "gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "reference/maps.h"
#include "tolerance.h"

namespace support {
namespace {

// About twice the worst seen: sums over as many tokens as there are, twice, and a map's slope. Sums of a gate for each
// key dimension are carried in float32, and strong ones cost digits; a normaliser walks token
// by token, through decays that are made of steps.
double epsilons(const Problem& p) {
  const reference::Variant& variant = reference::variants().at(p.variant);
  return variant.takes_key_gates ? 45 : variant.takes_steps ? 75 : 10;
}

// Of the largest number of a part: what its numbers may count for, where sizes alone say little.
double most(const Problem& p) { return reference::maps().at(p.map).exponential ? 10 : INFINITY; }

struct Part {
  const char* name;
  std::vector<double> Gradients::*values;
  bool of_type;  // of the call; the others are float32
};
constexpr Part parts[] = {{"dq", &Gradients::q, true},
                          {"dk", &Gradients::k, true},
                          {"dv", &Gradients::v, true},
                          {"dgate", &Gradients::gate, true},
                          {"dbeta", &Gradients::beta, true},
                          {"dbonus", &Gradients::bonus, false},
                          {"ddt", &Gradients::dt, true},
                          {"ddt_bias", &Gradients::dt_bias, false},
                          {"dskip", &Gradients::skip, false},
                          {"dout_gate", &Gradients::out_gate, true},

                          {"ddecay", &Gradients::decay, false},
                          {"dstate", &Gradients::state, false},
                          {"dz", &Gradients::z, false},
                          {"dmomentum", &Gradients::momentum, false},
                          {"dmixture", &Gradients::mixture, false},
                          {"dprojection", &Gradients::projection, false}};

}  // namespace

Gradients call_backward(const std::string& op, const Problem& problem, const Given& given, const Options& options) {
  const Arguments arguments(backward_of(op), problem, options, &given);
  perform(arguments, options);
  return arguments.gradients();
}

void check_backward(const std::string& op, const Problem& problem, const Given& given, const Options& options) {
  expect_close(call_backward(op, problem, given, options),
               bounded_by_largest(reference::backward(problem, given, op == "causal"), most(problem)), options,
               epsilons(problem), Arguments(backward_of(op), problem, options, &given).text());
}

void expect_close(const Gradients& got, const reference::GradientAnswers& want, const Options& options, double n_eps,
                  const std::string& what) {
  for (const Part& part : parts)
    if (!(got.*part.values).empty())
      expect_values_near(got.*part.values, want.value.*part.values, want.size.*part.values,
                         part.of_type ? options.type : Type::F32, n_eps, what + ": " + part.name);
}

reference::GradientAnswers bounded_by_largest(reference::GradientAnswers answers, double most) {
  for (const Part& part : parts) {
    double largest = 0;
    for (const double x : answers.value.*part.values) largest = std::max(largest, std::abs(x));
    for (double& size : answers.size.*part.values) size = std::min(size, most * largest);
  }
  return answers;
}

void expect_same(const Gradients& got, const Gradients& want, const std::string& what) {
  for (const Part& part : parts) expect_same(got.*part.values, want.*part.values, what + ": " + part.name);
}

void expect_exact(const Gradients& got, const Gradients& want, Type type, const std::string& what) {
  for (const Part& part : parts)
    if (!(got.*part.values).empty())
      expect_exact(got.*part.values, want.*part.values, part.of_type ? type : Type::F32, what + ": " + part.name);
}

double loss(const std::string& op, const Problem& p, const Given& given) {
  const Answer a = reference::operators().at(op)(p).value;
  double sum = 0;
  const auto add = [&](const std::vector<double>& g, const std::vector<double>& x) {
    for (size_t i = 0; i < g.size(); ++i) sum += g[i] * x[i];
  };
  add(given.o, a.o);
  add(given.state, a.state);
  add(given.z, a.z);
  add(given.momentum, a.momentum);
  return sum;
}

}  // namespace support
