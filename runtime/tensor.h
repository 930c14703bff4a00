// A caller's tensor after checking: bytes, storage, extents and strides in elements.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace lathe {

enum class Storage : uint8_t { kF32, kF16, kBF16, kI32, kI64 };

constexpr int64_t size_of(Storage s) {
  return s == Storage::kI64 ? 8 : s == Storage::kF16 || s == Storage::kBF16 ? 2 : 4;
}
constexpr const char* name_of(Storage s) {
  constexpr const char* names[] = {"f32", "f16", "bf16", "i32", "i64"};
  return names[static_cast<int>(s)];
}

struct Tensor {
  static constexpr int kMaxRank = 5;
  char* data = nullptr;
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
