// The gradient of a feature map: dx = (d phi / dx)^T (scale * dy), row by row, from the derivative of the map's own
// formula. docs/operators.md.
//
// x, w and the numbers as in map.cpp, but x float32; dy(K, C). Writes dx(D, C), zero past the valid rows. A projected
// map writes u(M, C) as map.cpp does, and du(M, C), the gradient of u; its dx lacks du w, which is a product of its
// own. A stabilising map reads peak(C) as map.cpp writes it: what is subtracted counts as constant.
#include "mapping.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

struct MapBackward {
  explicit MapBackward(Kernel& k) : kernel(k) {}

  Kernel& kernel;
  Mapping m{kernel};
  const ImageParam dy = kernel.buffer("dy"), peak = stabilises(m.map) ? kernel.buffer("peak", 1) : ImageParam();
  const Var c = m.c, i = m.i;
  Func dx{"dx"}, du{"du"}, d_square{"d_square"};
  // The formula is differentiated with respect to variables that stand for what it reads.
  std::map<std::string, Expr> read;   // by the variable's name
  std::map<std::string, Expr> where;  // columns of x that it reads by their number
  Expr scale_of_row, mean;            // of a gradient: what it is multiplied by, after this is subtracted

  Expr variable(const std::string& name, const Expr& value) {
    read[name] = value;
    return Internal::Variable::make(Float(32), name);
  }

  Words variables(const Words& actual) {
    Words words = actual;
    words.x = variable("x.read", actual.x);
    words.x_behind = variable("behind.read", actual.x_behind);
    words.u = variable("u.read", actual.u);
    words.square = variable("square.read", actual.square);
    words.shift = stabilises(m.map) ? select(m.subtract == 0, 0.f, peak(i)) : Expr(0.f);
    words.x_at = [this, actual](const Expr& at) {
      const std::string name = "at" + std::to_string(where.size()) + ".read";
      where[name] = clamp(at, 0, m.width - 1);
      return variable(name, actual.x_at(at));
    };
    return words;
  }

  Expr slope(const Part& part, const std::string& name) const { return derivative(part.value, name); }

  // Of the loss, by what the formula reads of one column of a part.
  Expr gradient(const Expr& slope, const Words& words, const Expr& column, const Expr& behind, const Expr& valid,
                const Expr& from) const {
    Expr value = Mapping::in_part(Internal::substitute(read, slope), words, column, behind);
    return select(valid && i < m.rows, value * (dy(from, i) - mean) * scale_of_row, 0.f);
  }

  void over_sum(const Formula& f, const Words& words) {
    Formula actual = f;
    for (Part& part : actual.parts) part.value = Internal::substitute(read, part.value);
    Func total = m.total_of(actual, words), dot("dot");
    dot(i) = 0.f;
    Expr start = 0;
    for (const Part& part : actual.parts) {
      const RDom r = m.columns_of(part);
      const Expr column = Mapping::column(r);
      dot(i) += select(column < part.width, Mapping::in_part(part.value, words, column) * dy(start + column, i), 0.f);
      start += part.width;
    }
    kernel.label(Role::row_sum, dot);
    scale_of_row = m.scale / total(i);
    mean = dot(i) / total(i);
  }

  void flat(const Part& part, const Expr& start, const Words& words) {
    const auto with = [&](const Expr& slope, auto add) {
      if (!slope.defined()) return;
      const RDom r = m.columns_of(part);
      const Expr column = Mapping::column(r);
      add(column, gradient(slope, words, column, 0, column < part.width, start + column));
    };
    with(slope(part, "x.read"), [&](const Expr& column, const Expr& g) { dx(column, i) += g; });
    with(slope(part, "u.read"), [&](const Expr& column, const Expr& g) { du(column, i) += g; });
    with(slope(part, "square.read"), [&](const Expr&, const Expr& g) { d_square(i) += g; });
    for (const auto& [name, at] : where)
      with(slope(part, name),
           [&](const Expr& column, const Expr& g) { dx(Mapping::in_part(at, words, column), i) += g; });
  }

  // A column past the last would be the caller's next row.
  void triangle(const Part& part, const Expr& start, const Words& words) {
    const auto with = [&](const std::string& name, auto add) {
      const auto [r, behind, ahead, column, products] = m.triangle(Mapping::Blocks::kCut);
      const Expr from = unsafe_promise_clamped(start + products + ahead, 0, dy.dim(0).extent() - 1);
      add(column, behind, gradient(slope(part, name), words, column, behind, Internal::const_true(), from));
    };
    with("x.read", [&](const Expr& column, const Expr&, const Expr& g) { dx(column, i) += g; });
    with("behind.read", [&](const Expr&, const Expr& behind, const Expr& g) { dx(behind, i) += g; });
  }

  void define() {
    const Words actual = m.words(), words = variables(actual);
    const Formula f = formula(m.map, words);
    scale_of_row = m.scale;
    mean = 0.f;
    if (f.over_sum) over_sum(f, actual);
    dx(c, i) = 0.f;
    du(c, i) = 0.f;
    d_square(i) = 0.f;
    bool triangles = false;
    Expr start = 0;
    for (const Part& part : f.parts) {
      triangles |= part.shape == Part::kTriangle;
      if (part.shape == Part::kFlat)
        flat(part, start, actual);
      else
        triangle(part, start, actual);
      start += part.width;
    }
    if (d_square.num_update_definitions() > 0) {
      RDom r(0, Mapping::kBlock, 0, Mapping::blocks(m.width), "r");
      dx(Mapping::column(r), i) += 2.f * m.x(Mapping::column(r), i) * d_square(i);
      kernel.label(Role::row_sum, d_square);
    }
    if (projects(m.map)) {
      kernel.output(Role::projected, m.u);
      kernel.output(Role::rows, du);
    }
    // sums that meet in one column follow one another
    kernel.output(triangles || !where.empty() ? Role::scattered : Role::rows, dx);
  }
};

}  // namespace

LATHE_KERNEL(map_backward, formulas) { MapBackward(kernel).define(); }
