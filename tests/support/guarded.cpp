#include "guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace support {

Guarded::Guarded(size_t bytes, Edge edge) : bytes_(bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  inner_ = (bytes + page - 1) / page * page;
  mapped_ = inner_ + 2 * page;
  void* mapping = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<unsigned char*>(mapping);
  if (inner_ > 0) {
    if (mprotect(mapping_ + page, inner_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    std::memset(mapping_ + page, pattern, inner_);
  }
  data_ = mapping_ + page + (edge == Edge::Last ? inner_ - bytes : 0);
}

Guarded::Guarded(Guarded&& other) noexcept
    : bytes_(other.bytes_), inner_(other.inner_), mapped_(other.mapped_), mapping_(other.mapping_), data_(other.data_) {
  other.mapping_ = nullptr;
}

Guarded::~Guarded() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

bool Guarded::slack_intact() const {
  const unsigned char *first = mapping_ + (mapped_ - inner_) / 2, *begin = data_, *end = data_ + bytes_;
  const auto untouched = [](unsigned char byte) { return byte == pattern; };
  return std::all_of(first, begin, untouched) && std::all_of(end, first + inner_, untouched);
}

}  // namespace support
