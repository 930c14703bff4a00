#include "cuda.h"

#include <bit>
#include <vector>

#include "launcher.h"
#include "library.h"

namespace lathe::cuda {

namespace {

// What the driver's header says, which need not be installed where this is built.
using Handle = void*;
using Pointer = uint64_t;
constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76, kMemoryType = 2;
constexpr uint32_t kHostMemory = 1;

struct Driver {
  int (*cuInit)(unsigned);
  int (*cuGetErrorName)(int, const char**);
  int (*cuCtxGetCurrent)(Handle*);
  int (*cuCtxPushCurrent_v2)(Handle);
  int (*cuCtxPopCurrent_v2)(Handle*);
  int (*cuCtxGetDevice)(int*);
  int (*cuDeviceGetAttribute)(int*, int, int);
  int (*cuPointerGetAttribute)(void*, int, Pointer);
  int (*cuModuleLoadData)(Handle*, const void*);
  int (*cuModuleUnload)(Handle);
  int (*cuModuleGetFunction)(Handle*, Handle, const char*);
  int (*cuMemcpyHtoDAsync_v2)(Pointer, const void*, size_t, Handle);
  int (*cuMemsetD32Async)(Pointer, unsigned, size_t, Handle);
  int (*cuLaunchKernel)(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void**,
                        void**);

  Driver() {
    const Library library("CUDA", {"libcuda.so.1"});
#define LATHE_FIND(name) library.find(name, #name)
    LATHE_FIND(cuInit);
    LATHE_FIND(cuGetErrorName);
    LATHE_FIND(cuCtxGetCurrent);
    LATHE_FIND(cuCtxPushCurrent_v2);
    LATHE_FIND(cuCtxPopCurrent_v2);
    LATHE_FIND(cuCtxGetDevice);
    LATHE_FIND(cuDeviceGetAttribute);
    LATHE_FIND(cuPointerGetAttribute);
    LATHE_FIND(cuModuleLoadData);
    LATHE_FIND(cuModuleUnload);
    LATHE_FIND(cuModuleGetFunction);
    LATHE_FIND(cuMemcpyHtoDAsync_v2);
    LATHE_FIND(cuMemsetD32Async);
    LATHE_FIND(cuLaunchKernel);
#undef LATHE_FIND
    if (cuInit(0) != 0) fail(LATHE_DEVICE, "CUDA: expected a driver that starts, got one that does not");
  }
};

// Opened once, and again by the next call where it failed.
const Driver& driver() {
  static const Driver opened;
  return opened;
}

void check(int status, const char* function) {
  if (status == 0) return;
  const char* name = nullptr;
  driver().cuGetErrorName(status, &name);
  fail(LATHE_DEVICE, "CUDA: expected {} to succeed, got error {} ({})", function, status, name ? name : "unknown");
}

Pointer address(const Place& place) { return reinterpret_cast<Pointer>(place.memory) + place.offset; }

bool of_device(const void* memory) {
  uint32_t type = kHostMemory;
  return driver().cuPointerGetAttribute(&type, kMemoryType, reinterpret_cast<Pointer>(memory)) == 0 &&
         type != kHostMemory;
}

int capability_here() {
  int device = 0, major = 0, minor = 0;
  check(driver().cuCtxGetDevice(&device), "cuCtxGetDevice");
  check(driver().cuDeviceGetAttribute(&major, kCapabilityMajor, device), "cuDeviceGetAttribute");
  check(driver().cuDeviceGetAttribute(&minor, kCapabilityMinor, device), "cuDeviceGetAttribute");
  return 10 * major + minor;
}

}  // namespace

// The modules of a context that has ended went with it.
Modules::~Modules() {
  for (const auto& [key, module] : modules_)
    if (module.module && driver().cuCtxPushCurrent_v2(key.first) == 0) {
      driver().cuModuleUnload(module.module);
      Handle popped;
      driver().cuCtxPopCurrent_v2(&popped);
    }
}

void* Modules::function(void* context, const char* code, const char* name) {
  Module& module = modules_[{context, code}];
  if (!module.module) check(driver().cuModuleLoadData(&module.module, code), "cuModuleLoadData");
  Handle& function = module.functions[name];
  if (!function) check(driver().cuModuleGetFunction(&function, module.module, name), "cuModuleGetFunction");
  return function;
}

Stream::Stream(Modules& modules, void* stream, void* context, int capability)
    : modules_(modules), stream_(stream), context_(context) {
  if (!context_) check(driver().cuCtxGetCurrent(&context_), "cuCtxGetCurrent");
  require(context_ != nullptr, "exec.device_context: expected a CUcontext, since none is current, got null");
  check(driver().cuCtxPushCurrent_v2(context_), "cuCtxPushCurrent");
  try {
    if (const int here = capability_here(); here < capability)
      fail(LATHE_DEVICE, "CUDA: expected a device of capability {}.{}, as the plan's kernels want, got {}.{}",
           capability / 10, capability % 10, here / 10, here % 10);
  } catch (...) {
    driver().cuCtxPopCurrent_v2(&context_);
    throw;
  }
}

Stream::~Stream() { driver().cuCtxPopCurrent_v2(&context_); }

void Stream::accept(const char* name, const Tensor& tensor) const {
  require(of_device(tensor.memory), "{}: expected memory of a CUDA device, got {}", name, place(tensor.memory));
}

bool Stream::aligned(const Tensor& t, uint64_t bytes) const {
  return (reinterpret_cast<Pointer>(t.memory) + reinterpret_cast<Pointer>(t.data)) % bytes == 0;
}

Place Stream::workspace(void* memory, size_t bytes) const {
  if (!of_device(memory) || reinterpret_cast<Pointer>(memory) % 64 != 0)
    fail(LATHE_WORKSPACE, "exec.workspace: expected {} bytes of a CUDA device, 64-byte aligned, got {}", bytes,
         place(memory));
  return {memory, 0, bytes};
}

// From memory that is not pinned the driver copies before it returns, and waits for nothing.
void Stream::stage(const Place& to, const void* from, size_t bytes) {
  check(driver().cuMemcpyHtoDAsync_v2(address(to), from, bytes, stream_), "cuMemcpyHtoDAsync");
}

void Stream::fill(const Place& at, float value, size_t count) {
  check(driver().cuMemsetD32Async(address(at), std::bit_cast<unsigned>(value), count, stream_), "cuMemsetD32Async");
}

void Stream::launch(const Launch& launch) {
  const Handle function = modules_.function(context_, launch.code, launch.function);
  size_t n = 0;
  while (launch.sizes[n]) n++;
  std::vector<Pointer> pointers(n);
  std::vector<void*> arguments(launch.arguments, launch.arguments + n);
  for (size_t i = 0; i < n; i++) {
    if (!launch.is_buffer[i]) continue;
    pointers[i] = address(place_of(arguments[i]));
    arguments[i] = &pointers[i];
  }
  const auto u = [](int x) { return static_cast<unsigned>(x); };
  const auto& [bx, by, bz] = launch.blocks;
  const auto& [tx, ty, tz] = launch.threads;
  check(driver().cuLaunchKernel(function, u(bx), u(by), u(bz), u(tx), u(ty), u(tz), u(launch.shared), stream_,
                                arguments.data(), nullptr),
        "cuLaunchKernel");
}

}  // namespace lathe::cuda
