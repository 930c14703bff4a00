#include <dlfcn.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "host.h"

namespace elsewhere {

namespace {

using Handle = void*;
using Pointer = uint64_t;

class Cuda : public Host {
 public:
  explicit Cuda(Handle library) : library_(library) {
    int device = 0;
    if (call<int(unsigned)>("cuInit")(0) != 0 || call<int(int*, int)>("cuDeviceGet")(&device, 0) != 0) return;
    Handle context = nullptr;
    need(call<int(Handle*, unsigned, int)>("cuCtxCreate_v2")(&context, 0, device));
    need(call<int(Handle*, unsigned)>("cuStreamCreate")(&stream_, 1));  // waits for no other
  }

  int device_type() const override { return 2; }
  void* allocate(size_t bytes) const override {
    Pointer memory = 0;
    need(call<int(Pointer*, size_t)>("cuMemAlloc_v2")(&memory, bytes));
    return reinterpret_cast<void*>(memory);
  }
  void release(void* memory) const override { need(call<int(Pointer)>("cuMemFree_v2")(address(memory))); }
  void write(void* memory, const void* from, size_t bytes) const override {
    need(call<int(Pointer, const void*, size_t)>("cuMemcpyHtoD_v2")(address(memory), from, bytes));
  }
  void read(void* memory, void* to, size_t bytes) const override {
    need(call<int(Handle)>("cuStreamSynchronize")(stream_));
    need(call<int(void*, Pointer, size_t)>("cuMemcpyDtoH_v2")(to, address(memory), bytes));
  }
  void* queue() const override { return stream_; }

 private:
  static Pointer address(void* memory) { return reinterpret_cast<Pointer>(memory); }
  template <typename Function>
  Function* call(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(library_, name));
  }
  static void need(int status) {
    if (status != 0) throw std::runtime_error("CUDA says " + std::to_string(status));
  }
  Handle library_, stream_ = nullptr;
};

}  // namespace

const char* const nobody_answers = "no CUDA device answers";

const Host* host() {
  static const Host* const answering = []() -> const Host* {
    const Handle library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) return nullptr;
    static const Cuda opened(library);
    return opened.queue() ? &opened : nullptr;
  }();
  return answering;
}

}  // namespace elsewhere
