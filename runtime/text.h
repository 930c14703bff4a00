// Texts with values in them. fmt is compiled once, in text.cpp: from its headers alone every source would compile it.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <span>
#include <string>

namespace lathe {

std::string written_with(fmt::string_view form, fmt::format_args values);

template <typename... Values>
std::string written(fmt::format_string<Values...> form, Values&&... values) {
  return written_with(form, fmt::make_format_args(values...));
}

inline const void* place(const void* pointer) { return pointer; }  // fmt writes no other pointers

// Written as 1,2,3, and only where a text is made.
struct Numbers {
  std::span<const int64_t> all;
};

}  // namespace lathe

template <>
struct fmt::formatter<lathe::Numbers> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const lathe::Numbers& numbers, format_context& context) const {
    auto out = context.out();
    for (const int64_t& number : numbers.all) {
      if (&number != numbers.all.data()) *out++ = ',';
      for (const char c : std::to_string(number)) *out++ = c;
    }
    return out;
  }
};
