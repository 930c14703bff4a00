#include "shared.h"

#include <algorithm>

namespace ptx {

void Shared::resize(uint64_t bytes) {
  bytes_.resize(bytes);
  touches_.resize(bytes);
}

void Shared::begin() {
  pass_barrier();
  std::fill(bytes_.begin(), bytes_.end(), std::byte{0xFF});
}

Shared::Touch& Shared::touch(uint64_t address) {
  Touch& t = touches_[address];
  if (t.interval != interval_) t = {.interval = interval_};
  return t;
}

bool Shared::may_read(uint64_t address, uint64_t size, int thread) {
  for (uint64_t end = address + size; address < end; address++) {
    Touch& t = touch(address);
    if (t.writer != kNobody && t.writer != thread) return false;
    t.reader = t.reader == kNobody || t.reader == thread ? static_cast<int16_t>(thread) : kSeveral;
  }
  return true;
}

bool Shared::may_write(uint64_t address, uint64_t size, int thread) {
  for (uint64_t end = address + size; address < end; address++) {
    Touch& t = touch(address);
    for (const int16_t other : {t.writer, t.reader})
      if (other != kNobody && other != thread) return false;
    t.writer = static_cast<int16_t>(thread);
  }
  return true;
}

}  // namespace ptx
