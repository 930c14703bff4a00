// The words in which feature_maps.h states its formulas.
#pragma once

#include <Halide.h>

#include <functional>
#include <vector>

#include "symbols.h"
#include "vmath.h"

namespace lathe::gen {

// A stretch of output columns: `value` in column `c` of the part.
struct Part {
  Halide::Expr width, value;
  enum Shape { kFlat, kTriangle } shape = kFlat;
};

struct Formula {
  std::vector<Part> parts;
  bool over_sum = false;  // divided by the sum of all columns
};

struct Words {
  using Expr = Halide::Expr;
  Halide::Var c{"c"}, behind{"behind"};  // the part's column; in a triangle the column before it
  Expr x, x_behind, u, u_max, square, row, shift, D, M, A;
  std::function<Expr(Expr)> x_at;

  static Expr relu(const Expr& e) { return symbol("relu", e); }
  static Expr exponential(const Expr& e) { return symbol("exponential", e); }
  static Expr exponential_of_negative(const Expr& e) { return symbol("exponential_of_negative", e); }
  static Expr sine(const Expr& e) { return symbol("sine", e); }
  static Expr cosine(const Expr& e) { return symbol("cosine", e); }
  static Expr silu(const Expr& e) { return symbol("silu", e); }
  static Expr number(const Expr& e) { return Halide::cast<float>(e); }
  static Expr quarter_turns(const Expr& step, const Expr& all) { return number(step) * (1.57079632679489662f / all); }
  static Expr offset(const Expr& square, const Expr& features) {
    return (square + Halide::log(number(features))) * 0.5f;
  }
  static Part part(const Expr& width, const Expr& value) { return {width, value}; }
  template <typename... Parts>
  static Formula parts(const Parts&... list) {
    return {{list...}};
  }
  static Formula over_sum(Formula f) {
    f.over_sum = true;
    return f;
  }
  // v(i, j) for i < j, row by row
  Part triangle(const Expr& v) const { return {D * (D - 1) / 2, v, Part::kTriangle}; }
  // DPFP: r = [relu(x); relu(-x)], r * roll(r, j) for j = 1..nu
  Formula rolled_products() const {
    const Expr wide = 2 * D, column = c % wide, from = (column + wide - c / wide - 1) % wide;
    const auto r = [&](const Expr& at) { return select(at < D, relu(x_at(at)), relu(-x_at(at - D))); };
    return {{{wide * Halide::cast<int32_t>(A), r(column) * r(from)}}};
  }
};

// The formula of a map by name. Throws std::invalid_argument.
Formula formula(const std::string& map, const Words& words);
bool projects(const std::string& map);
bool stabilises(const std::string& map);

}  // namespace lathe::gen
