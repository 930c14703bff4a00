// The arithmetic of PTX, a function for each operation, where C++ has other rules or none.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ptx {

struct Half {
  uint16_t bits;
};

float widen(Half half);
Half narrow(float value);  // to the nearest, ties to even

// Whole numbers wrap. Those narrower than int would be promoted to it, whose overflow is undefined.
template <std::integral T>
using Wrapping = std::conditional_t<sizeof(T) < sizeof(uint32_t), uint32_t, std::make_unsigned_t<T>>;
template <std::integral T>
using Twice = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                                 std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

template <typename T>
T add(T a, T b) {
  if constexpr (std::integral<T>)
    return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
  else
    return a + b;
}

template <typename T>
T subtract(T a, T b) {
  if constexpr (std::integral<T>)
    return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
  else
    return a - b;
}

template <typename T>
T multiply(T a, T b) {
  if constexpr (std::integral<T>)
    return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
  else
    return a * b;
}

template <std::integral T>
T multiply_add(T a, T b, T c) {
  return add(multiply(a, b), c);
}

template <std::integral T>
Twice<T> multiply_wide(T a, T b) {
  return static_cast<Twice<T>>(a) * static_cast<Twice<T>>(b);
}

template <std::integral T>
Twice<T> multiply_add_wide(T a, T b, Twice<T> c) {
  return add(multiply_wide(a, b), c);
}

inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline float quotient(float a, float b) { return a / b; }
inline float reciprocal(float a) { return 1 / a; }
inline float square_root(float a) { return std::sqrt(a); }

// By 0 the result is not specified, and no error: all ones, as devices have it.
template <std::integral T>
T divide(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return subtract(T(0), a);
  return static_cast<T>(a / b);
}

template <std::integral T>
T remainder(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return 0;
  return static_cast<T>(a % b);
}

// The sign alone, of a NaN too.
inline uint32_t negate_float(uint32_t bits) { return bits ^ 0x80000000u; }
inline uint32_t absolute_float(uint32_t bits) { return bits & 0x7FFFFFFFu; }

template <std::integral T>
T negate(T a) {
  return subtract(T(0), a);
}

// Of a number and a NaN the number; -0 is less than +0.
template <typename T>
T smaller(T a, T b) {
  if constexpr (std::floating_point<T>) {
    if (std::isnan(a)) return b;
    if (a == b) return std::signbit(a) ? a : b;
  }
  return b < a ? b : a;
}

template <typename T>
T larger(T a, T b) {
  if constexpr (std::floating_point<T>) {
    if (std::isnan(a)) return b;
    if (a == b) return std::signbit(a) ? b : a;
  }
  return a < b ? b : a;
}

template <typename T>
T both(T a, T b) {
  return static_cast<T>(a & b);
}

template <typename T>
T either(T a, T b) {
  return static_cast<T>(a | b);
}

template <typename T>
T one_of(T a, T b) {
  return static_cast<T>(a ^ b);
}

template <typename T>
T inverse(T a) {
  if constexpr (std::same_as<T, bool>)
    return !a;
  else
    return static_cast<T>(~a);
}

// A shift by more than there are bits is one by all of them.
template <std::unsigned_integral T>
T shift_left(T a, uint32_t bits) {
  return bits >= sizeof(T) * 8 ? T(0) : static_cast<T>(Wrapping<T>(a) << bits);
}

template <std::integral T>
T shift_right(T a, uint32_t bits) {
  constexpr uint32_t all = sizeof(T) * 8;
  if (bits < all) return static_cast<T>(a >> bits);
  if constexpr (std::is_signed_v<T>)
    if (a < 0) return static_cast<T>(-1);
  return 0;
}

inline uint32_t extract(uint32_t a, uint32_t position, uint32_t length) {
  const uint64_t from = shift_right(uint64_t(a), position & 0xFF);
  return static_cast<uint32_t>(from & ((uint64_t(1) << ((length & 0xFF) > 32 ? 32 : length & 0xFF)) - 1));
}

template <typename T>
T same(T a) {
  return a;
}

template <typename T>
T select(T a, T b, bool first) {
  return first ? a : b;
}

// To the nearest, ties to even, which is the host's rounding too.
template <typename To, typename From>
To convert(From a) {
  return static_cast<To>(a);
}

}  // namespace ptx
