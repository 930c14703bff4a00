#include "vmath.h"

using namespace Halide;

namespace lathe::gen {

namespace {

// 2^n for an integer n in [-127, 128]; the ends give 0 and inf.
Expr power_of_two(const Expr& n) { return reinterpret<float>(cast<int32_t>(n + 127) << 23); }

struct Reduced {
  Expr n, p;  // e^x = 2^n p, p in [0.7, 1.42]
};

// n ln 2 is subtracted in two parts, the first of so few bits that n times it is exact. The coefficients are a minimax
// fit of e^r on |r| <= ln 2 / 2, relative error 3e-9: a twentieth of an ulp.
Reduced reduce(const Expr& x) {
  Expr n = round(x * 1.44269504088896341f);
  Expr r = strict_float(x - n * 0.693145751953125f);
  r = r - n * 1.42860682030941723e-6f;
  Expr p = 0.008368745f + r * 0.001381454f;
  for (float c : {0.04166839f, 0.16666521f, 0.49999994f, 1.f, 1.f}) p = c + r * p;
  return {cast<int32_t>(n), p};
}

// x = n pi/2 + r, |r| <= pi/4. pi/2 in three parts: the first two have so few bits that n times them is exact for
// |n| < 2^12, which is where the stated error ends.
struct Turned {
  Expr n, r;
};
Turned turn(const Expr& x) {
  Expr n = round(x * 0.636619772367581343f);
  Expr r = strict_float(x - n * 1.5703125f);
  r = strict_float(r - n * 4.837512969970703125e-4f);
  return {n, r - n * 7.54978995489188216e-8f};
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
  Expr q = cast<int32_t>(n) + quarter;
  Expr value = select((q & 1) == 1, cosine_near(r), sine_near(r));
  return select((q & 2) == 2, -value, value);
}

}  // namespace

Expr less(const Expr& a, const Expr& b) { return strict_float(a < b); }

Expr exponential(const Expr& x) {
  auto [n, p] = reduce(x);
  n = clamp(n, -128, 256);
  Expr half = n >> 1;
  // two factors, since 2^128 alone overflows where e^x does not
  return select(less(x, -87.33654f), 0.f, p * power_of_two(half) * power_of_two(n - half));
}

Expr exponential_of_negative(const Expr& x) {
  auto [n, p] = reduce(x);
  return select(less(x, -87.33654f), 0.f, p * power_of_two(clamp(n, -127, 127)));
}

Expr sine(const Expr& x) { return wave(x, 0); }
Expr cosine(const Expr& x) { return wave(x, 1); }

}  // namespace lathe::gen
