// Failures inside the library are exceptions; the C functions turn them into a status and a text.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "lathe.h"
#include "text.h"

namespace lathe {

class Error : public std::runtime_error {
 public:
  Error(lathe_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  lathe_status status() const { return status_; }

 private:
  lathe_status status_;
};

// The text of the last failure: of fixed size, so that telling of one needs no memory.
class ErrorText {
 public:
  void set(const char* text) noexcept { text_[std::string_view(text).copy(text_, sizeof text_ - 1)] = 0; }
  const char* get() const { return text_; }

 private:
  char text_[1024] = "";
};

template <typename... Args>
[[noreturn]] void fail(lathe_status status, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(status, written(text, std::forward<Args>(args)...));
}

template <typename... Args>
void require(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) throw Error(LATHE_INVALID, written(text, std::forward<Args>(args)...));
}

}  // namespace lathe
