// A feature map over rows: y = scale * phi(x), zero past the valid rows and columns. docs/operators.md. The rows are
// float32; a map from D to D by columns, the kind that costs no more than to read them, also has an instance for each
// storage type, "elu1_bf16".
//
// x(D, C), w(M, D): the projection, transposed; y(K, C); u(M, C): scratch of projected maps. All extents are multiples
// of 16; width, features and rows say how much of them is real. Row i stands at position + i * step: a step of 1 for
// tokens, 0 for the heads of one token.
//
// Stabilising maps also write peak(C), which they subtract: the row's own largest projection (subtract = 1, queries),
// or the largest up to it and `peak_before` (2, keys). With 0 nothing is subtracted.
#include "mapping.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

struct Map {
  explicit Map(Kernel& k) : kernel(k) {}

  Kernel& kernel;
  Mapping m{kernel};
  const Var c = m.c, i = m.i;
  Func y{"y"};

  void define() {
    const Words words = m.words();
    const Formula f = formula(m.map, words);
    Expr factor = m.scale;
    if (f.over_sum) factor = m.scale / m.total_of(f, words)(i);
    const auto valid = [&](const Expr& inside, const Expr& value) {
      return select(inside && i < m.rows, value * factor, 0.f);
    };
    if (projects(m.map)) kernel.output(Role::projected, m.u);
    if (stabilises(m.map)) kernel.output(Role::serial, m.peak);
    if (f.parts.size() == 1 && f.parts[0].shape == Part::kFlat) {
      y(c, i) = valid(c < f.parts[0].width, Mapping::in_part(f.parts[0].value, words, c));
    } else {
      y(c, i) = 0.f;
      Expr start = 0;
      for (const Part& part : f.parts) {
        place(part, start, words, valid);
        start += part.width;
      }
    }
    kernel.output(Role::rows, y);
  }

  // Blocks run over the end of their part; the next part, or zeros, overwrite what they leave there.
  template <typename Valid>
  void place(const Part& part, const Expr& start, const Words& words, Valid valid) {
    if (part.shape == Part::kFlat) {
      const RDom r = m.columns_of(part);
      Expr column = Mapping::column(r);
      y(start + column, i) = valid(column < part.width, Mapping::in_part(part.value, words, column));
    } else {
      const auto [r, behind, ahead, column, products] = m.triangle(Mapping::Blocks::kWhole);
      // Halide does not see where the products end
      Expr last = y.output_buffer().dim(0).extent() - 1;
      Expr to = unsafe_promise_clamped(start + products + ahead, 0, last);
      y(to, i) = valid(column < m.width, Mapping::in_part(part.value, words, column, behind));
    }
  }
};

}  // namespace

LATHE_KERNEL(map, maps) { Map(kernel).define(); }
