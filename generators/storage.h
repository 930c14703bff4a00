// How numbers are stored in the caller's tensors, beside float32, which is that of all arithmetic and needs no kernel.
// One row each.
#pragma once

#include <Halide.h>

#include <string>

namespace lathe::gen {

inline constexpr const char* storages[] = {
// clang-format off
#define LATHE_STORAGE(name) #name,
LATHE_STORAGE(f16)
LATHE_STORAGE(bf16)
#undef LATHE_STORAGE
    // clang-format on
};

// bfloat16 travels as its bits: Halide has no bfloat16 on some targets and rounds NaN to -0 on others.
inline Halide::Type storage_type(const std::string& name) {
  return name == "f16" ? Halide::Float(16) : Halide::UInt(16);
}

inline Halide::Expr widened(const std::string& name, const Halide::Expr& x) {
  using namespace Halide;
  return name == "f16" ? cast<float>(x) : reinterpret<float>(cast<uint32_t>(x) << 16);
}

inline Halide::Expr narrowed(const std::string& name, const Halide::Expr& x) {
  using namespace Halide;
  Expr bits = reinterpret<uint32_t>(x);
  Expr nan = (bits & 0x7fffffff) > cast<uint32_t>(0x7f800000);
  // without a conversion instruction Halide makes infinity of NaN
  if (name == "f16") return select(nan, reinterpret<float16_t>(cast<uint16_t>(0x7e00)), cast<float16_t>(x));
  Expr to_even = bits + 0x7fff + ((bits >> 16) & 1);
  return cast<uint16_t>(select(nan, (bits >> 16) | 0x40, to_even >> 16));
}

}  // namespace lathe::gen
