// FNV-1a: names of configurations, spaces and generators. Not for secrets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::tune {

constexpr uint64_t kHashStart = 0xcbf29ce484222325;

constexpr uint64_t hash(std::string_view bytes, uint64_t start = kHashStart) {
  for (const char c : bytes) start = (start ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return start;
}

inline std::string hex(uint64_t number) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
  return text;
}

}  // namespace lathe::tune
