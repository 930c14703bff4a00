// A caller's tensor after checking: bytes, storage, extents and strides in elements.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace lathe {

// The numbers that DLPack has for where memory is.
constexpr int32_t kCpu = 1, kCuda = 2, kOpenCl = 4;

enum class Storage : uint8_t { kF32, kF16, kBF16, kI32, kI64 };

constexpr int64_t size_of(Storage s) {
  return s == Storage::kI64 ? 8 : s == Storage::kF16 || s == Storage::kBF16 ? 2 : 4;
}
constexpr const char* name_of(Storage s) {
  constexpr const char* names[] = {"f32", "f16", "bf16", "i32", "i64"};
  return names[static_cast<int>(s)];
}

inline float widened(Storage storage, const char* at) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, storage == Storage::kF32 ? 4 : 2);
  if (storage == Storage::kBF16) bits <<= 16;
  if (storage != Storage::kF16) return std::bit_cast<float>(bits);
  const uint32_t sign = (bits & 0x8000) << 16, size = (bits & 0x7fff) << 13;
  // the product moves the exponent, denormals included; infinity and NaN keep the largest one there is
  const float moved = std::bit_cast<float>(size) * 0x1p112f;
  return std::bit_cast<float>(sign | (size >= 0x0f800000 ? size | 0x7f800000 : std::bit_cast<uint32_t>(moved)));
}

// Numbers at equal distances, whatever they are stored as.
struct Strided {
  const char* data;
  int64_t stride;  // in elements
  Storage storage;
  float operator[](int64_t i) const { return widened(storage, data + i * stride * size_of(storage)); }
};

struct Tensor {
  static constexpr int kMaxRank = 5;
  char* data = nullptr;    // on a device the bytes into `memory`, as a number
  void* memory = nullptr;  // of a device: its handle
  Storage storage = Storage::kF32;
  int rank = 0;  // 0: absent
  std::array<int64_t, kMaxRank> shape{}, stride{};

  bool present() const { return rank != 0; }
  bool empty() const { return std::find(shape.begin(), shape.begin() + rank, 0) != shape.begin() + rank; }

  // Address of an element, the missing indices being zero.
  template <typename... Index>
  char* at(Index... index) const {
    const int64_t indices[] = {static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (size_t d = 0; d < sizeof...(index); d++) offset += indices[d] * stride[d];
    return data + offset * size_of(storage);
  }
  template <typename... Index>
  float* floats(Index... index) const {
    return reinterpret_cast<float*>(at(index...));
  }
  int64_t integer(int64_t i) const {
    const char* p = data + i * stride[0] * size_of(storage);
    return storage == Storage::kI64 ? *reinterpret_cast<const int64_t*>(p) : *reinterpret_cast<const int32_t*>(p);
  }
};

}  // namespace lathe
