// A stand-in for the CUDA driver: one device, whose kernels the processor interprets. Everything is done before a
// function returns, so nothing here is out of order, and streams only say to which context they belong.
#include "driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "fatbin.h"
#include "machine.h"
#include "memory.h"
#include "module.h"

namespace {

constexpr int kCapability = 80;
constexpr uint64_t kSharedBytes = 48 << 10, kMostSharedBytes = 163 << 10;  // as launched, and if a function asks
constexpr ptx::Index kMostBlocks = {0x7FFFFFFF, 0xFFFF, 0xFFFF}, kMostThreads = {1024, 1024, 64};

}  // namespace

struct CUfunc_st {
  CUmodule module;
  const ptx::Kernel* kernel;
  uint64_t most_dynamic_bytes;
};

struct CUmod_st {
  CUcontext context;
  ptx::Module module;
  std::map<std::string, CUfunc_st, std::less<>> functions;
};

struct CUstream_st {
  CUcontext context;
};

struct CUctx_st {
  ptx::Memory memory;
};

namespace {

// Handles that live. Whatever else a caller passes is told from them without being looked into.
template <typename Handle>
class Handles {
 public:
  Handle* add(std::unique_ptr<Handle> made) {
    Handle* handle = made.get();
    all_.emplace(handle, std::move(made));
    return handle;
  }
  bool has(const Handle* handle) const { return all_.contains(handle); }
  bool remove(const Handle* handle) { return all_.erase(handle) != 0; }
  template <typename Condition>
  void remove_if(Condition condition) {
    std::erase_if(all_, [&](const auto& one) { return condition(*one.second); });
  }
  template <typename Condition>
  bool any(Condition condition) const {
    return std::any_of(all_.begin(), all_.end(), [&](const auto& one) { return condition(*one.second); });
  }

 private:
  std::map<const Handle*, std::unique_ptr<Handle>> all_;
};

struct Driver {
  std::mutex mutex;
  bool initialized = false;
  Handles<CUctx_st> contexts;
  Handles<CUstream_st> streams;
  Handles<CUmod_st> modules;
  ptx::Moved moved;
};

// Never destroyed: a caller's own destructors may still come here.
Driver& driver() {
  static auto* const made = new Driver;
  return *made;
}

// Nor are these, which would go before them.
std::vector<CUcontext>& current() {
  thread_local auto* const made = new std::vector<CUcontext>;
  return *made;
}

CUcontext context_of_thread() { return current().empty() ? nullptr : current().back(); }

// One function at a time, which fails before cuInit.
template <typename Function>
CUresult enter(Function function) {
  const std::lock_guard lock(driver().mutex);
  if (!driver().initialized) return CUDA_ERROR_NOT_INITIALIZED;
  return function();
}

// One that needs a context.
template <typename Function>
CUresult in_context(Function function) {
  return enter([&] {
    CUcontext context = context_of_thread();
    return driver().contexts.has(context) ? function(*context) : CUDA_ERROR_INVALID_CONTEXT;
  });
}

// The stream without a handle belongs to whichever context is current, and so do the two that stand for it.
bool is_default(CUstream stream) { return reinterpret_cast<uintptr_t>(stream) <= 2; }

CUresult check(CUstream stream, CUcontext context) {
  if (is_default(stream)) return CUDA_SUCCESS;
  return driver().streams.has(stream) && stream->context == context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

struct Word {
  CUresult error;
  const char *name, *text;
};
#define LATHE_WORD(error, text) \
  { error, #error, text }
constexpr Word kWords[] = {
    LATHE_WORD(CUDA_SUCCESS, "no error"),
    LATHE_WORD(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    LATHE_WORD(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    LATHE_WORD(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    LATHE_WORD(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    LATHE_WORD(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    LATHE_WORD(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    LATHE_WORD(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    LATHE_WORD(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    LATHE_WORD(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    LATHE_WORD(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    LATHE_WORD(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    LATHE_WORD(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
};

CUresult word(CUresult error, const char** text, const char* Word::*which) {
  if (!text) return CUDA_ERROR_INVALID_VALUE;
  const auto* found =
      std::find_if(std::begin(kWords), std::end(kWords), [&](const Word& w) { return w.error == error; });
  *text = found == std::end(kWords) ? nullptr : found->*which;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void say(const std::string& what) { fmt::print(stderr, "lathe's CUDA stand-in: {}\n", what); }

// What a module is refused for, for those who ask the compiler for its log.
void write_log(const std::string& what, unsigned count, const CUjit_option* options, void** values) {
  char* log = nullptr;
  size_t bytes = 0;
  for (unsigned n = 0; n < count; n++) {
    if (options[n] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char*>(values[n]);
    if (options[n] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) bytes = reinterpret_cast<uintptr_t>(values[n]);
  }
  if (log && bytes) std::snprintf(log, bytes, "%s", what.c_str());
}

CUresult load(CUcontext context, CUmodule& to, const void* image, std::string& wrong) {
  auto made = std::make_unique<CUmod_st>();
  try {
    made->context = context;
    made->module = ptx::parse(ptx::text_of(image));
  } catch (const ptx::ParseError& error) {
    wrong = error.what();
    return CUDA_ERROR_INVALID_PTX;
  }
  if (made->module.target > kCapability) {
    wrong = fmt::format("sm_{} is newer than the device", made->module.target);
    return CUDA_ERROR_INVALID_PTX;
  }
  for (const auto& [name, kernel] : made->module.kernels) {
    if (kernel.shared_bytes > kSharedBytes) {
      wrong = fmt::format("{} takes {} bytes of shared memory", name, kernel.shared_bytes);
      return CUDA_ERROR_INVALID_PTX;
    }
    made->functions.emplace(name, CUfunc_st{made.get(), &kernel, kSharedBytes - kernel.shared_bytes});
  }
  to = driver().modules.add(std::move(made));
  return CUDA_SUCCESS;
}

bool is_live(CUfunction function) {
  return driver().modules.any([&](const CUmod_st& module) {
    return std::any_of(module.functions.begin(), module.functions.end(),
                       [&](const auto& one) { return &one.second == function; });
  });
}

bool within(const ptx::Index& size, const ptx::Index& most) {
  for (size_t d = 0; d < size.size(); d++)
    if (size[d] == 0 || size[d] > most[d]) return false;
  return true;
}

CUresult launch(CUcontext context, CUfunction function, const ptx::Grid& grid, uint64_t shared_bytes, CUstream stream,
                void** parameters) {
  if (!is_live(function) || function->module->context != context) return CUDA_ERROR_INVALID_HANDLE;
  if (const CUresult wrong = check(stream, context)) return wrong;
  const ptx::Kernel& kernel = *function->kernel;
  if (!within(grid.blocks, kMostBlocks) || !within(grid.threads, kMostThreads) ||
      ptx::volume(grid.threads) > kernel.most_threads || shared_bytes > function->most_dynamic_bytes)
    return CUDA_ERROR_INVALID_VALUE;
  std::vector<std::byte> bytes(kernel.parameter_bytes);
  for (size_t n = 0; n < kernel.parameters.size(); n++) {
    if (!parameters || !parameters[n]) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(bytes.data() + kernel.parameters[n].offset, parameters[n], kernel.parameters[n].bytes);
  }
  const auto failure = ptx::run(kernel, grid, shared_bytes, bytes, context->memory.ranges(), driver().moved);
  if (!failure) return CUDA_SUCCESS;
  say(failure->what);
  return static_cast<CUresult>(failure->status);
}

CUresult copy_to_device(CUctx_st& context, CUdeviceptr to, const void* from, size_t bytes) {
  if (bytes == 0) return CUDA_SUCCESS;
  if (!from || !context.memory.holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(ptx::at(to), from, bytes);
  return CUDA_SUCCESS;
}

// What the driver answers for a device, by the attribute's number.
const std::map<int, int> kAttributes = {
    {1, 1024},  // threads of a block
    {2, 1024},
    {3, 1024},
    {4, 64},
    {5, 0x7FFFFFFF},
    {6, 0xFFFF},
    {7, 0xFFFF},    // x, y and z of a block and of a grid
    {8, 48 << 10},  // shared memory of a block
    {9, 64 << 10},  // constants
    {10, 32},       // threads of a warp
    {12, 65536},    // registers of a block
    {14, 512},      // alignment of textures
    {16, 1},        // multiprocessors
    {39, 2048},     // threads of a multiprocessor
    {41, 1},        // one space of addresses
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, kCapability / 10},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, kCapability % 10},
    {81, 164 << 10},  // shared memory of a multiprocessor
    {82, 65536},      // registers of a multiprocessor
    {97, 163 << 10},  // shared memory of a block that asks
};

}  // namespace

CUresult cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  const std::lock_guard lock(driver().mutex);
  driver().initialized = true;
  return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) { return word(error, text, &Word::text); }
CUresult cuGetErrorName(CUresult error, const char** text) { return word(error, text, &Word::name); }

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return enter([&] {
    if (!device) return CUDA_ERROR_INVALID_VALUE;
    if (ordinal != 0) return CUDA_ERROR_INVALID_DEVICE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return enter([&] {
    if (!count) return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return enter([&] {
    const auto found = kAttributes.find(attribute);
    if (!value || found == kAttributes.end()) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *value = found->second;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice device) {
  return enter([&] {
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *context = driver().contexts.add(std::make_unique<CUctx_st>());
    current().push_back(*context);
    return CUDA_SUCCESS;
  });
}

// With all that belongs to it. Of a thread that has it current, only this one is known to let go of it.
CUresult cuCtxDestroy_v2(CUcontext context) {
  return enter([&] {
    const auto belongs = [&](const auto& one) { return one.context == context; };
    driver().modules.remove_if(belongs);
    driver().streams.remove_if(belongs);
    if (!driver().contexts.remove(context)) return CUDA_ERROR_INVALID_CONTEXT;
    if (context_of_thread() == context) current().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return enter([&] {
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    *context = context_of_thread();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return enter([&] {
    if (context && !driver().contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!current().empty()) current().pop_back();
    if (context) current().push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return enter([&] {
    if (!driver().contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
    current().push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return enter([&] {
    if (current().empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = current().back();
    current().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  return in_context([&](CUctx_st&) {
    if (!device) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return in_context([&](CUctx_st& context) {
    if (!stream || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    *stream = driver().streams.add(std::make_unique<CUstream_st>(CUstream_st{&context}));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return enter([&] { return driver().streams.remove(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  return enter([&] {
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (!is_default(stream) && !driver().streams.has(stream)) return CUDA_ERROR_INVALID_HANDLE;
    *context = is_default(stream) ? context_of_thread() : stream->context;
    return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return in_context([&](CUctx_st& context) { return check(stream, &context); });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return in_context([&](CUctx_st& context) {
    if (!address || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    *address = context.memory.allocate(bytes);
    return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return in_context(
      [&](CUctx_st& context) { return context.memory.free(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  return in_context([&](CUctx_st& context) { return copy_to_device(context, to, from, bytes); });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  return in_context([&](CUctx_st& context) {
    if (bytes == 0) return CUDA_SUCCESS;
    if (!to || !context.memory.holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(to, ptx::at(from), bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  return in_context([&](CUctx_st& context) {
    const CUresult wrong = check(stream, &context);
    return wrong ? wrong : copy_to_device(context, to, from, bytes);
  });
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  return in_context([&](CUctx_st& context) {
    if (const CUresult wrong = check(stream, &context)) return wrong;
    if (count == 0) return CUDA_SUCCESS;
    if (to % sizeof value != 0 || count > SIZE_MAX / sizeof value || !context.memory.holds(to, count * sizeof value))
      return CUDA_ERROR_INVALID_VALUE;
    for (size_t n = 0; n < count; n++) std::memcpy(ptx::at(to + n * sizeof value), &value, sizeof value);
    driver().moved.by_launches += count * sizeof value, driver().moved.by_blocks += count * sizeof value;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* begin, size_t* bytes, CUdeviceptr address) {
  return in_context([&](CUctx_st& context) {
    const ptx::Range* range = context.memory.around(address);
    if (!range) return CUDA_ERROR_NOT_FOUND;
    if (begin) *begin = range->begin;
    if (bytes) *bytes = range->bytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr address) {
  return enter([&] {
    CUcontext owner = nullptr;
    driver().contexts.any([&](CUctx_st& context) {
      if (context.memory.around(address)) owner = &context;
      return owner != nullptr;
    });
    if (!value || !owner) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
      case CU_POINTER_ATTRIBUTE_CONTEXT:
        *static_cast<CUcontext*>(value) = owner;
        return CUDA_SUCCESS;
      case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *static_cast<CUmemorytype*>(value) = CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

// Options that concern speed or words alone have no meaning here.
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, CUjit_option* options, void** values) {
  return in_context([&](CUctx_st& context) {
    if (!module || !image || (count != 0 && (!options || !values))) return CUDA_ERROR_INVALID_VALUE;
    std::string wrong;
    const CUresult status = load(&context, *module, image, wrong);
    if (status) {
      say(wrong);
      write_log(wrong, count, options, values);
    }
    return status;
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return in_context(
      [&](CUctx_st&) { return driver().modules.remove(module) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return in_context([&](CUctx_st&) {
    if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
    if (!driver().modules.has(module)) return CUDA_ERROR_INVALID_HANDLE;
    const auto found = module->functions.find(name);
    if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
    *function = &found->second;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return in_context([&](CUctx_st&) {
    if (!is_live(function)) return CUDA_ERROR_INVALID_HANDLE;
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
      case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || static_cast<uint64_t>(value) > kMostSharedBytes - function->kernel->shared_bytes)
          return CUDA_ERROR_INVALID_VALUE;
        function->most_dynamic_bytes = static_cast<uint64_t>(value);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                        unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared_bytes,
                        CUstream stream, void** parameters, void** extra) {
  return in_context([&](CUctx_st& context) {
    if (extra) return CUDA_ERROR_NOT_SUPPORTED;  // the other way to pass parameters
    return launch(&context, function, {{blocks_x, blocks_y, blocks_z}, {threads_x, threads_y, threads_z}}, shared_bytes,
                  stream, parameters);
  });
}

void lathe_moved(unsigned long long* by_launches, unsigned long long* by_blocks) {
  const std::lock_guard lock(driver().mutex);
  *by_launches = driver().moved.by_launches, *by_blocks = driver().moved.by_blocks;
  driver().moved = {true};
}
