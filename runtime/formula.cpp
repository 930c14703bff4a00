#include "formula.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lathe {

namespace {

struct Part {
  double width, value;
  bool triangle = false;  // width is that of the rows, which shorten
};

struct Formula {
  std::vector<Part> parts;
  bool over_sum = false;
};

// What every column reads of a token.
struct Totals {
  double u_max = 0, square = 0;
  explicit Totals(const Mapped& token) {
    for (double value : token.x) square += value * value;
    for (double value : token.u) u_max = std::max(u_max, std::abs(value));
  }
};

// The words of generators/feature_formula.h for one column: c, and in a triangle the one before it, behind.
struct Words {
  const Mapped& token;
  size_t c, behind;
  double D = static_cast<double>(token.x.size()), M = static_cast<double>(token.u.size()), A = token.A;
  double x = at(token.x, c), x_behind = at(token.x, behind), u = at(token.u, c), row = token.row, shift = 0;
  double u_max, square;

  Words(const Mapped& t, const Totals& totals, size_t column, size_t column_behind)
      : token(t), c(column), behind(column_behind), u_max(totals.u_max), square(totals.square) {}

  static double at(const std::vector<double>& values, size_t i) { return i < values.size() ? values[i] : 0; }
  static bool less(double a, double b) { return a < b; }
  static double select(bool condition, double yes, double no) { return condition ? yes : no; }
  static double relu(double e) { return e < 0 ? 0 : e; }
  static double number(double e) { return e; }
  static double exponential(double e) { return std::exp(e); }
  static double exponential_of_negative(double e) { return std::exp(e); }
  static double silu(double e) { return e / (1 + std::exp(-e)); }
  static double sine(double e) { return std::sin(e); }
  static double cosine(double e) { return std::cos(e); }
  static double sqrt(double e) { return std::sqrt(e); }
  static double quarter_turns(double step, double all) { return step * std::numbers::pi / (2 * all); }
  static double offset(double squares, double features) { return (squares + std::log(features)) / 2; }
  static Part part(double width, double value) { return {width, value}; }
  template <typename... Parts>
  static Formula parts(const Parts&... list) {
    return {{list...}};
  }
  static Formula over_sum(Formula f) {
    f.over_sum = true;
    return f;
  }
  Part triangle(double v) const { return {D, v, true}; }
  Formula rolled_products() const {
    const size_t n = token.x.size(), wide = 2 * n, column = c % wide, from = (column + wide - c / wide - 1) % wide;
    const auto r = [&](size_t i) { return i < n ? relu(token.x[i]) : relu(-token.x[i - n]); };
    return {{{static_cast<double>(wide) * std::floor(A), r(column) * r(from)}}};
  }
};

struct Formulas : Words {
  using Words::Words;
#define LATHE_MAP(name, k, last, inputs, attribute, fallback, ...) \
  Formula map_##name() const { return __VA_ARGS__; }
#include "../generators/feature_maps.h"
#undef LATHE_MAP
};

Formula evaluate(std::string_view map, const Formulas& words) {
#define LATHE_MAP(name, k, last, inputs, attribute, fallback, ...) \
  if (map == #name) return words.map_##name();
#include "../generators/feature_maps.h"
#undef LATHE_MAP
  return {};
}

}  // namespace

std::vector<double> apply_formula(std::string_view map, const Mapped& token) {
  const Totals totals(token);
  const Formula shape = evaluate(map, Formulas(token, totals, 0, 0));
  std::vector<double> y;
  for (size_t part = 0; part < shape.parts.size(); part++) {
    const auto width = static_cast<size_t>(shape.parts[part].width);
    const auto push = [&](size_t c, size_t behind) {
      y.push_back(evaluate(map, Formulas(token, totals, c, behind)).parts[part].value);
    };
    for (size_t i = 0; i < width; i++)
      if (!shape.parts[part].triangle)
        push(i, 0);
      else
        for (size_t j = i + 1; j < width; j++) push(j, i);
  }
  double sum = 0;
  for (double value : y) sum += value;
  if (shape.over_sum)
    for (double& value : y) value /= sum;
  return y;
}

}  // namespace lathe
