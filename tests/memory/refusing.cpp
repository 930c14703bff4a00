#include "refusing.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace refusing {
namespace {

constexpr long never = -1;

// Counts requests down and says which is refused.
class Countdown {
 public:
  void start(long n, Times times) {
    refused_ = false;
    times_ = times;
    left_ = n;
  }
  bool end() {
    left_ = never;
    return refused_;
  }
  bool refuses() {
    if (left_ == never) return false;
    const long left = left_.fetch_sub(1);
    const bool refused = left == 1 || (left < 1 && times_ == Times::ForGood);
    if (refused) refused_ = true;
    // not to come to `never` by counting on
    if (left < 1) left_ = 0;
    return refused;
  }

 private:
  std::atomic<long> left_{never};
  std::atomic<Times> times_{Times::Once};
  std::atomic<bool> refused_{false};
};

Countdown of_memory, of_threads;
std::atomic<long> live{0}, asked{0};

}  // namespace

long blocks() { return live; }
long requests() { return asked; }
void memory(long n, Times times) { of_memory.start(n, times); }
bool end() { return of_memory.end(); }
void threads(long n) { of_threads.start(n, Times::ForGood); }
bool end_threads() { return of_threads.end(); }

namespace {

void* allocate(size_t bytes, size_t alignment) {
  ++asked;
  if (of_memory.refuses()) throw std::bad_alloc();
  void* block = nullptr;
  if (posix_memalign(&block, alignment, bytes) != 0) throw std::bad_alloc();
  ++live;
  return block;
}

void release(void* block) {
  if (block == nullptr) return;
  --live;
  std::free(block);
}

}  // namespace
}  // namespace refusing

// The other forms of new and delete call these.
void* operator new(size_t bytes) { return refusing::allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return refusing::allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { refusing::release(block); }
void operator delete(void* block, size_t) noexcept { refusing::release(block); }
void operator delete(void* block, std::align_val_t) noexcept { refusing::release(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { refusing::release(block); }

extern "C" {
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the system's names are reserved ones

void* aligned_alloc(size_t alignment, size_t bytes) {
  ++refusing::asked;
  if (refusing::of_memory.refuses()) {
    errno = ENOMEM;
    return nullptr;
  }
  void* block = nullptr;
  return posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  static const auto system = reinterpret_cast<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>(
      dlsym(RTLD_NEXT, "pthread_create"));
  return refusing::of_threads.refuses() ? EAGAIN : system(thread, attributes, start, argument);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
}
