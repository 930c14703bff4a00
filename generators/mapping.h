// What the kernels of a feature map are called with, and the words of its formula in them. map.cpp says what each is.
#pragma once

#include <string>

#include "feature_formula.h"
#include "kernel.h"

namespace lathe::gen {

struct Mapping {
  using Expr = Halide::Expr;
  static constexpr int kBlock = 16;

  Kernel& kernel;
  std::string map, storage;  // of x; none: float32
  Halide::ImageParam stored, w;
  Halide::Param<int32_t> width, features, rows, position, step, subtract;
  Halide::Param<float> scale, attribute, peak_before;
  Halide::Var c{"c"}, i{"i"};
  Halide::Func u{"u"}, peak{"peak"};

  explicit Mapping(Kernel& kernel);

  Expr x(const Expr& column, const Expr& row) const;
  Words words();
  static Expr blocks(const Expr& n) { return (n + kBlock - 1) / kBlock; }
  // The value of a part in its column, in vector functions.
  static Expr in_part(const Expr& value, const Words& words, const Expr& column, const Expr& behind = 0) {
    using Halide::Internal::substitute;
    return lowered(substitute(words.behind.name(), behind, substitute(words.c.name(), column, value)));
  }
  // Blocks of a flat part's columns, past its end where that is no multiple of them.
  Halide::RDom columns_of(const Part& part) const { return {0, kBlock, 0, blocks(part.width), "r"}; }
  static Expr column(const Halide::RDom& r) { return r.y * kBlock + r.x; }
  // Blocks of a triangle's rows: behind, how far ahead of the column after it, and where the products of behind begin.
  // Whole blocks run past the last column.
  struct Triangle {
    Halide::RDom r;
    Expr behind, ahead, column, start;
  };
  enum class Blocks { kWhole, kCut };
  Triangle triangle(Blocks blocks) const;
  // Of the values that a map divides by.
  Halide::Func total_of(const Formula& f, const Words& words);

 private:
  explicit Mapping(Kernel& kernel, const std::pair<std::string, std::string>& map_and_storage);
};

}  // namespace lathe::gen
