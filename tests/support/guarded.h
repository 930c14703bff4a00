// Memory between two pages that may not be touched: one byte too far, read or written, is a fault.
#pragma once

#include <cstddef>

namespace support {

// Which end of the block lies against a forbidden page; the other end has slack filled with a pattern.
enum class Edge { Last, First };

class Guarded {
 public:
  Guarded(size_t bytes, Edge edge);
  ~Guarded();
  Guarded(Guarded&& other) noexcept;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  Guarded& operator=(Guarded&& other) = delete;

  static constexpr unsigned char pattern = 0xA5;

  unsigned char* data() { return data_; }
  const unsigned char* data() const { return data_; }
  // The slack inside the readable pages is as it was.
  bool slack_intact() const;

 private:
  size_t bytes_, inner_, mapped_;
  unsigned char *mapping_, *data_;
};

}  // namespace support
