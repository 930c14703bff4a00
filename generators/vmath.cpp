#include "vmath.h"

#include <limits>

using namespace Halide;

namespace lathe::gen {

namespace {

// 2^n for an integer n in [-127, 128]; the ends give 0 and inf. Unsigned: a shift may lose the upper bits.
Expr with_exponent(const Expr& n) { return reinterpret<float>((reinterpret<uint32_t>(n) + Expr(127u)) << Expr(23u)); }

// The nearest integer of |x| < 2^22, as float and as int: adding 1.5 * 2^23 leaves it in the low bits. Rounding
// instructions would split a 512-bit vector in two.
struct Nearest {
  Expr f, i;
};
Nearest nearest(const Expr& x) {
  Expr shifted = strict_float(x + 12582912.f);
  return {strict_float(shifted - 12582912.f), reinterpret<int32_t>(reinterpret<uint32_t>(shifted) - Expr(0x4b400000u))};
}

struct Reduced {
  Expr n, p;  // e^x = 2^n p, p in [0.7, 1.42]
};

// A minimax fit of e^r on |r| <= ln 2 / 2, relative error 3e-9: a twentieth of an ulp.
Expr exponential_near(const Expr& r) {
  Expr p = 0.008368745f + r * 0.001381454f;
  for (float c : {0.04166839f, 0.16666521f, 0.49999994f, 1.f, 1.f}) p = c + r * p;
  return p;
}

// n ln 2 is subtracted in two parts, the first of so few bits that n times it is exact.
Reduced reduce(const Expr& x) {
  const Nearest n = nearest(x * 1.44269504088896341f);
  Expr r = strict_float(x - n.f * 0.693145751953125f);
  r = strict_float(r - n.f * 1.42860682030941723e-6f);
  return {n.i, exponential_near(r)};
}

// x = n pi/2 + r, |r| <= pi/4. pi/2 in three parts: the first two have so few bits that n times them is exact for
// |n| < 2^12, which is where the stated error ends.
struct Turned {
  Expr n, r;
};
Turned turn(const Expr& x) {
  const Nearest n = nearest(x * 0.636619772367581343f);
  Expr r = strict_float(x - n.f * 1.5703125f);
  r = strict_float(r - n.f * 4.837512969970703125e-4f);
  return {n.i, strict_float(r - n.f * 7.54978995489188216e-8f)};
}

Expr sine_near(const Expr& r) {
  Expr r2 = r * r;
  return r + r * r2 * (-0.16666654611f + r2 * (8.3321608736e-3f + r2 * -1.9515295891e-4f));
}

Expr cosine_near(const Expr& r) {
  Expr r2 = r * r;
  Expr tail = 4.166664568298827e-2f + r2 * (-1.388731625493765e-3f + r2 * 2.443315711809948e-5f);
  return 1.f + r2 * (-0.5f + r2 * tail);
}

Expr wave(const Expr& x, int quarter) {
  auto [n, r] = turn(x);
  Expr q = n + quarter;
  Expr value = select((q & 1) == 1, cosine_near(r), sine_near(r));
  return select((q & 2) == 2, -value, value);
}

}  // namespace

Expr less(const Expr& a, const Expr& b) { return strict_float(a < b); }

Expr nearest_whole(const Expr& x) { return nearest(x).f; }

Expr rounded_product(const Expr& a, const Expr& b) {
  using Internal::Call;
  return Call::make(a.type(), Call::strict_mul, {a, b}, Call::PureIntrinsic);
}

Expr rounded_sum(const Expr& a, const Expr& b) {
  using Internal::Call;
  return Call::make(a.type(), Call::strict_add, {a, b}, Call::PureIntrinsic);
}

// The sum leaves n + 127 in its low bits, and the shift loses the others: unsigned, it may.
Expr power_of_whole(const Expr& n) {
  return reinterpret<float>(reinterpret<uint32_t>(max(n, -127.f) + 12583039.f) << Expr(23u));
}

Expr power_of_fraction(const Expr& x) { return exponential_near(x * 0.693147180559945309f); }

Expr exponential(const Expr& x) {
  auto [n, p] = reduce(x);
  Expr half = n >> 1;
  // two factors, since 2^128 alone overflows where e^x does not; strict, or LLVM would multiply them with each other
  Expr inside = strict_float(strict_float(p * with_exponent(half)) * with_exponent(n - half));
  return select(less(x, -87.33654f), 0.f, less(88.72284f, x), Expr(std::numeric_limits<float>::infinity()), inside);
}

Expr exponential_of_negative(const Expr& x) {
  auto [n, p] = reduce(x);
  return select(less(x, -87.33654f), 0.f, p * with_exponent(n));
}

// Near 0 by the series, since the difference cancels there.
Expr exponential_less_one(const Expr& x) {
  Expr series = 1.f;
  for (float n : {11.f, 10.f, 9.f, 8.f, 7.f, 6.f, 5.f, 4.f, 3.f, 2.f}) series = 1.f + x * (1.f / n) * series;
  return select(less(x, -1.f), exponential_of_negative(x) - 1.f, x * series);
}

// Not by way of 1 + e^x, which loses a small e^x: log(1 + e) = 2 artanh(e / (2 + e)).
Expr softplus(const Expr& x) {
  Expr e = exponential_of_negative(select(less(x, 0.f), x, -x)), r = e / (2.f + e), square = r * r;
  Expr series = 1.f / 17.f;
  for (float n : {15.f, 13.f, 11.f, 9.f, 7.f, 5.f, 3.f, 1.f}) series = 1.f / n + square * series;
  return select(less(x, 0.f), 0.f, x) + 2.f * r * series;
}

Expr sine(const Expr& x) { return wave(x, 0); }
Expr cosine(const Expr& x) { return wave(x, 1); }

}  // namespace lathe::gen
