// Sums along rows of a chunk, and what outputs are divided by.
#pragma once

#include "kernel.h"

namespace lathe::gen {

// The sum of terms(column, i) of each row; x has as many columns, a multiple of 16.
template <typename Terms>
Halide::Func sums_of_rows(Kernel& kernel, const Halide::ImageParam& x, Terms terms) {
  constexpr int lanes = 16;
  Halide::Var i("i");
  Halide::RDom key(0, lanes, 0, x.dim(0).extent() / lanes, "key");
  Halide::Func sum("sum");
  sum(i) += terms(Halide::Expr(key.y * lanes + key.x), Halide::Expr(i));
  kernel.label(Role::row_sum, sum);
  return sum;
}

// Denominators are sums and eps, or, where at_least is 1, the larger of the two.
class Denominator {
 public:
  explicit Denominator(Kernel& kernel)
      : eps_(kernel.number<float>("eps")), at_least_(kernel.number<int32_t>("at_least")) {}

  Halide::Expr inverse(const Halide::Expr& sum) const {
    return 1.f / select(at_least_ == 1, max(sum, eps_), sum + eps_);
  }

 private:
  Halide::Param<float> eps_;
  Halide::Param<int32_t> at_least_;
};

}  // namespace lathe::gen
