#include "number.h"

namespace ptx {

namespace {

constexpr int kFraction = 10, kBias = 15;
constexpr uint32_t kInfinity = 0x7C00;

}  // namespace

float widen(Half half) {
  const uint32_t magnitude = half.bits & 0x7FFFu, exponent = magnitude >> kFraction, fraction = magnitude & 0x3FFu;
  float value;
  if (magnitude > kInfinity)
    value = std::numeric_limits<float>::quiet_NaN();
  else if (magnitude == kInfinity)
    value = std::numeric_limits<float>::infinity();
  else if (exponent == 0)
    value = std::ldexp(static_cast<float>(fraction), 1 - kBias - kFraction);
  else
    value = std::ldexp(static_cast<float>(fraction | 0x400u), static_cast<int>(exponent) - kBias - kFraction);
  return half.bits & 0x8000u ? -value : value;
}

Half narrow(float value) {
  if (std::isnan(value)) return {0x7FFF};
  const uint32_t sign = std::signbit(value) ? 0x8000u : 0;
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520) return {static_cast<uint16_t>(sign | kInfinity)};
  // in units of the last place, of which rounding may carry into the exponent, as it should
  const int exponent = magnitude < 0x1p-14F ? 1 - kBias : std::ilogb(magnitude);
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, kFraction - exponent)));
  const uint32_t base = magnitude < 0x1p-14F ? 0 : static_cast<uint32_t>(exponent + kBias - 1) << kFraction;
  return {static_cast<uint16_t>(sign | (base + units))};
}

}  // namespace ptx
