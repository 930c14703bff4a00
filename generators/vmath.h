// Vector functions with stated errors. NaN in is NaN out: Halide's own exp(NaN) is 0 and its sin is scalar.
#pragma once

#include <Halide.h>

namespace lathe::gen {

// a < b, false where either is NaN. The plain operator lets LLVM assume that there are no NaNs, and turn it round.
Halide::Expr less(const Halide::Expr& a, const Halide::Expr& b);

// a b, rounded before anything is added to it. Unlike strict_float it says nothing of what a and b are made of.
Halide::Expr rounded_product(const Halide::Expr& a, const Halide::Expr& b);
// a + b, both rounded before.
Halide::Expr rounded_sum(const Halide::Expr& a, const Halide::Expr& b);

// e^x. 0 below -87.33 (no denormals), +inf above 88.72.
Halide::Expr exponential(const Halide::Expr& x);
// The same for x <= 0 or NaN; garbage but never a trap above 0, for callers that discard it.
Halide::Expr exponential_of_negative(const Halide::Expr& x);
// e^x - 1 for x <= 0 or NaN.
Halide::Expr exponential_less_one(const Halide::Expr& x);
// log(1 + e^x).
Halide::Expr softplus(const Halide::Expr& x);
// 2^x for |x| <= 1/2 or NaN.
Halide::Expr power_of_fraction(const Halide::Expr& x);
// For |x| < 2^22.
Halide::Expr nearest_whole(const Halide::Expr& x);
// 2^n for a whole number n up to 127; 0 below -126. Garbage but never a trap beyond.
Halide::Expr power_of_whole(const Halide::Expr& n);

// For |x| < 6000; beyond it the error grows with |x|.
Halide::Expr sine(const Halide::Expr& x);
Halide::Expr cosine(const Halide::Expr& x);

}  // namespace lathe::gen
