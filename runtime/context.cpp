#include "context.h"

#include <cstdlib>

namespace {

constexpr size_t kAlignment = 64;

void* default_alloc(void*, size_t bytes, size_t alignment) {
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void default_dealloc(void*, void* pointer, size_t) { std::free(pointer); }

lathe_config completed(lathe_config config) {
  lathe::require((config.alloc == nullptr) == (config.dealloc == nullptr),
                 "config: expected alloc and dealloc together, got only {}", config.alloc ? "alloc" : "dealloc");
  lathe::require(config.threads >= 0 && config.threads <= 4096, "config.threads: expected 0 to 4096, got {}",
                 config.threads);
  if (!config.alloc) config.alloc = default_alloc, config.dealloc = default_dealloc;
  if (config.threads == 0) config.threads = lathe::allowed_processors();
  return config;
}

}  // namespace

lathe_context::lathe_context(const lathe_config& config) : config_(completed(config)), pool_(config_.threads) {}

lathe_context::~lathe_context() { release(); }

void lathe_context::release() {
  if (memory_) config_.dealloc(config_.user, memory_, bytes_);
  memory_ = nullptr;
  bytes_ = 0;
}

char* lathe_context::scratch(size_t bytes) {
  if (bytes > bytes_) {
    release();
    memory_ = config_.alloc(config_.user, bytes, kAlignment);
    if (!memory_) lathe::fail(LATHE_NO_MEMORY, "scratch memory: expected {} bytes, got none", bytes);
    bytes_ = bytes;
    if (reinterpret_cast<uintptr_t>(memory_) % kAlignment != 0) {
      const void* came = memory_;
      release();
      lathe::fail(LATHE_NO_MEMORY, "config.alloc: expected memory aligned to {} bytes, got {}", kAlignment,
                  lathe::place(came));
    }
  }
  return static_cast<char*>(memory_);
}

lathe::Parallel lathe_context::parallel() {
  return [this](int n, const std::function<void(int)>& task) {
    if (!config_.parallel_for || n <= 1) return pool_.run(n, task);
    const auto trampoline = [](void* closure, int i) { (*static_cast<const std::function<void(int)>*>(closure))(i); };
    config_.parallel_for(config_.user, n, trampoline, const_cast<std::function<void(int)>*>(&task));
  };
}
