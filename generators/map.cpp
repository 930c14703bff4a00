// A feature map over rows: y = scale * phi(x), zero past the valid rows and columns. docs/operators.md. The rows are
// float32; a map from D to D by columns, the kind that costs no more than to read them, also has an instance for each
// storage type, "elu1_bf16".
//
// x(D, C), w(M, D): the projection, transposed; y(K, C); u(M, C): scratch of projected maps. All extents are multiples
// of 16; width, features and rows say how much of them is real. Row i stands at position + i * step: a step of 1 for
// tokens, 0 for the heads of one token.
//
// Stabilising maps also write peak(C), the largest projection up to each row and `peak_before`. What they subtract is
// the row's own largest projection (subtract = 1, queries), the peak (2, keys), or nothing (0).
#include "feature_formula.h"
#include "kernel.h"
#include "storage.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

constexpr int kBlock = 16;

struct Mapped {
  std::string map, storage;  // none: float32
  explicit Mapped(const std::string& axis) : map(axis) {
    for (const char* name : storages)
      if (const std::string suffix = std::string("_") + name; axis.ends_with(suffix))
        map.resize(axis.size() - suffix.size()), storage = name;
  }
};

struct Mapping {
  Kernel& kernel;
  const Mapped mapped;
  ImageParam stored, w;
  Param<int32_t> width, features, rows, position, step;
  Param<int32_t> subtract;
  Param<float> scale, attribute, peak_before;
  Var c{"c"}, i{"i"};
  Func u{"u"}, square{"square"}, u_max{"u_max"}, largest{"largest"}, peak{"peak"}, total{"total"}, y{"y"};

  explicit Mapping(Kernel& k)
      : kernel(k),
        mapped(k.axis()),
        stored(k.buffer("x", 2, mapped.storage.empty() ? Float(32) : storage_type(mapped.storage))),
        w(k.buffer("w")),
        width(k.number<int32_t>("width")),
        features(k.number<int32_t>("features")),
        rows(k.number<int32_t>("rows")),
        position(k.number<int32_t>("position")),
        step(k.number<int32_t>("step")),
        subtract(k.number<int32_t>("subtract")),
        scale(k.number<float>("scale")),
        attribute(k.number<float>("attribute")),
        peak_before(k.number<float>("peak_before")) {}

  Expr x(const Expr& column, const Expr& row) const {
    return mapped.storage.empty() ? stored(column, row) : widened(mapped.storage, stored(column, row));
  }
  static Expr blocks(const Expr& n) { return (n + kBlock - 1) / kBlock; }
  static Expr in_part(const Expr& value, const Words& words, const Expr& column, const Expr& behind = 0) {
    return Internal::substitute(words.behind.name(), behind, Internal::substitute(words.c.name(), column, value));
  }

  Words words() {
    RDom d(0, Kernel::extent(stored, 0), "d"), lane(0, kBlock, 0, blocks(width), "lane"),
        m(0, kBlock, 0, blocks(features), "m");
    Func product("product");
    product(c, i) += x(d, i) * w(c, d);
    u(c, i) = product(c, i);
    Expr column = lane.y * kBlock + lane.x, feature = m.y * kBlock + m.x;
    square(i) += select(column < width, x(column, i) * x(column, i), 0.f);
    u_max(i) = 0.f;
    u_max(i) = max(u_max(i), select(feature < features, abs(u(feature, i)), 0.f));
    // the lowest number and not -inf, which the compiler may assume away
    const Expr lowest = Float(32).min();
    largest(i) = lowest;
    largest(i) = max(largest(i), select(feature < features, sqrt(attribute) * u(feature, i), lowest));
    RDom row(0, stored.dim(1).extent(), "row");
    peak(i) = undef<float>();
    peak(row) = max(select(row > 0, peak(max(row - 1, 0)), peak_before), select(row < rows, largest(row), lowest));
    kernel.label(Role::row_sum, largest);
    kernel.label(Role::outer, product);
    kernel.label(Role::row_sum, square);
    kernel.label(Role::row_sum, u_max);
    Words words;
    words.x = x(words.c, i);
    words.x_behind = x(words.behind, i);
    words.u = u(words.c, i);
    words.u_max = u_max(i);
    words.square = square(i);
    words.shift = select(subtract == 2, peak(i), subtract == 1, largest(i), 0.f);
    words.row = position + i * step;
    words.D = width;
    words.M = features;
    words.A = attribute;
    words.x_at = [this](const Expr& at) { return x(clamp(at, 0, width - 1), i); };
    return words;
  }

  void define() {
    const std::string& map = mapped.map;
    const Words w_ = words();
    const Formula f = formula(map, w_);
    Expr factor = scale;
    if (f.over_sum) {
      total(i) = 0.f;
      for (const Part& part : f.parts) {
        RDom r(0, kBlock, 0, blocks(part.width), "r");
        Expr column = r.y * kBlock + r.x;
        total(i) += select(column < part.width, in_part(part.value, w_, column), 0.f);
      }
      kernel.label(Role::row_sum, total);
      factor = scale / total(i);
    }
    const auto valid = [&](const Expr& inside, const Expr& value) {
      return select(inside && i < rows, value * factor, 0.f);
    };
    if (projects(map)) kernel.output(Role::projected, u);
    if (stabilises(map)) kernel.output(Role::serial, peak);
    if (f.parts.size() == 1 && f.parts[0].shape == Part::kFlat) {
      y(c, i) = valid(c < f.parts[0].width, in_part(f.parts[0].value, w_, c));
    } else {
      y(c, i) = 0.f;
      Expr start = 0;
      for (const Part& part : f.parts) {
        place(part, start, w_, valid);
        start += part.width;
      }
    }
    kernel.output(Role::rows, y);
  }

  // Blocks run over the end of their part; the next part, or zeros, overwrite what they leave there.
  template <typename Valid>
  void place(const Part& part, const Expr& start, const Words& w_, Valid valid) {
    if (part.shape == Part::kFlat) {
      RDom r(0, kBlock, 0, blocks(part.width), "r");
      Expr column = r.y * kBlock + r.x;
      y(start + column, i) = valid(column < part.width, in_part(part.value, w_, column));
    } else {
      RDom r(0, kBlock, 0, blocks(width), 0, width, "r");
      r.where(r.y * kBlock + r.z + 1 < width);
      // Halide sees neither that the condition keeps a block within 16 columns of the end, nor where the products end.
      Expr ahead = r.y * kBlock + r.x, last = y.output_buffer().dim(0).extent() - 1;
      Expr column = unsafe_promise_clamped(r.z + 1 + ahead, 0, stored.dim(0).extent() - 1);
      Expr to = unsafe_promise_clamped(start + r.z * width - r.z * (r.z + 1) / 2 + ahead, 0, last);
      y(to, i) = valid(column < width, in_part(part.value, w_, column, r.z));
    }
  }
};

}  // namespace

LATHE_KERNEL(map, maps) { Mapping(kernel).define(); }
