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

// The same with arithmetic on the bits alone, and of float32 too: for devices, which need not have the types.
inline Halide::Type bits_of(const std::string& name) { return name == "f32" ? Halide::Float(32) : Halide::UInt(16); }

inline Halide::Expr widened_bits(const std::string& name, const Halide::Expr& x) {
  using namespace Halide;
  if (name != "f16") return name == "f32" ? x : widened(name, x);
  Expr bits = cast<uint32_t>(x), sign = (bits & 0x8000) << 16, size = bits & 0x7fff;
  // a denormal by its value: as the bits of a float32 it would be one again, and devices drop those
  Expr small = reinterpret<uint32_t>(cast<float>(size) * 0x1p-24f);
  Expr moved = (size << 13) + cast<uint32_t>(select(size < 0x7c00, 112 << 23, 224 << 23));
  return reinterpret<float>(sign | select(size < 0x400, small, moved));
}

inline Halide::Expr narrowed_bits(const std::string& name, const Halide::Expr& x) {
  using namespace Halide;
  if (name != "f16") return name == "f32" ? x : narrowed(name, x);
  Expr bits = reinterpret<uint32_t>(x), size = bits & 0x7fffffff;
  // half of 1 has the distance of f16's denormals between its neighbours, and takes the rounding with it
  Expr small = reinterpret<uint32_t>(reinterpret<float>(size) + 0.5f) - 0x3f000000;
  Expr to_even = (size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13;
  Expr large = select(size > 0x7f800000, 0x7e00, 0x7c00);
  Expr rounded = select(size < 0x38800000, small, size < 0x477ff000, to_even, cast<uint32_t>(large));
  return cast<uint16_t>(((bits >> 16) & 0x8000) | rounded);
}

}  // namespace lathe::gen
