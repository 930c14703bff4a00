// What a state keeps from one token of a chunk to a later one, exp(b_i - b_j), where b are sums of log decays.
//
// Never exp(b_i) exp(-b_j), which leaves the range of float32 within a few tokens, and no exponential for each pair
// either: log2 of it comes as b(C, 2), whole numbers and what is left of them, at most 1/2. The fractions become
// mantissas, one for each token, and the whole numbers are subtracted exactly, however large they are.
#pragma once

#include "kernel.h"
#include "vmath.h"

namespace lathe::gen {

class Decay {
 public:
  explicit Decay(Kernel& kernel) : b_(kernel.buffer("b")) {
    Halide::Var i("i");
    rising_(i) = power_of_fraction(b_(i, 1));
    falling_(i) = power_of_fraction(-b_(i, 1));
    since_(i) = rising_(i) * power_of_whole(b_(i, 0));
    for (const Halide::Func& f : {rising_, falling_, since_}) kernel.label(Role::table, f);
  }

  // Of what entered the chunk, after token i.
  Halide::Expr since(const Halide::Expr& i) const { return since_(i); }
  // Of what token j brought, after token i; anything for an earlier i.
  Halide::Expr between(const Halide::Expr& i, const Halide::Expr& j) const {
    return rising_(i) * falling_(j) * power_of_whole(b_(i, 0) - b_(j, 0));
  }
  // Of what there was before token i, after it: exactly 1 where nothing is lost, as in rows that are no token's, of
  // which many may follow each other.
  Halide::Expr step(const Halide::Expr& i) const {
    using Halide::strict_float;
    Halide::Expr before = max(i - 1, 0);
    Halide::Expr same = strict_float(b_(i, 0) == b_(before, 0)) && strict_float(b_(i, 1) == b_(before, 1));
    return select(i == 0, since(0), same, 1.f, between(i, before));
  }

 private:
  Halide::ImageParam b_;
  Halide::Func rising_{"rising"}, falling_{"falling"}, since_{"since"};
};

}  // namespace lathe::gen
