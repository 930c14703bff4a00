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
  using Exprs = std::vector<Halide::Expr>;

 public:
  // Of several chunks, one of them by that Var: b(C, 2, N).
  explicit Decay(Kernel& kernel, const std::vector<Halide::Var>& chunk = {})
      : b_(kernel.buffer("b", 2 + static_cast<int>(chunk.size()))) {
    const Halide::Var i("i");
    std::vector<Halide::Var> args{i};
    args.insert(args.end(), chunk.begin(), chunk.end());
    const Exprs of(chunk.begin(), chunk.end());
    rising_(args) = power_of_fraction(b(i, 1, of));
    falling_(args) = power_of_fraction(-b(i, 1, of));
    since_(args) = rising_(args) * power_of_whole(b(i, 0, of));
    for (const Halide::Func& f : {rising_, falling_, since_}) kernel.label(Role::table, f);
  }

  // Of what entered the chunk, after token i.
  Halide::Expr since(const Halide::Expr& i, const Exprs& chunk = {}) const { return since_(joined({i}, chunk)); }
  // Of what token j brought, after token i; anything for an earlier i.
  Halide::Expr between(const Halide::Expr& i, const Halide::Expr& j, const Exprs& chunk = {}) const {
    return rising_(joined({i}, chunk)) * falling_(joined({j}, chunk)) * power_of_whole(b(i, 0, chunk) - b(j, 0, chunk));
  }
  // Of what there was before token i, after it: exactly 1 where nothing is lost, as in rows that are no token's, of
  // which many may follow each other.
  Halide::Expr step(const Halide::Expr& i) const {
    using Halide::strict_float;
    Halide::Expr before = max(i - 1, 0);
    Halide::Expr same = strict_float(b(i, 0) == b(before, 0)) && strict_float(b(i, 1) == b(before, 1));
    return select(i == 0, since(0), same, 1.f, between(i, before));
  }

 private:
  static Exprs joined(Exprs args, const Exprs& chunk) {
    args.insert(args.end(), chunk.begin(), chunk.end());
    return args;
  }
  Halide::Expr b(const Halide::Expr& i, int part, const Exprs& chunk = {}) const {
    return b_(joined({i, part}, chunk));
  }

  Halide::ImageParam b_;
  Halide::Func rising_{"rising"}, falling_{"falling"}, since_{"since"};
};

}  // namespace lathe::gen
