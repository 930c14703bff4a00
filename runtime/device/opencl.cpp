#include "opencl.h"

#include <algorithm>
#include <deque>

#include "launcher.h"
#include "library.h"

namespace lathe::opencl {

namespace {

// What the headers of OpenCL 1.2 say, which need not be installed where this is built.
using Handle = void*;
constexpr uint32_t kQueueContext = 0x1090, kQueueDevice = 0x1091, kQueueProperties = 0x1093, kBuildLog = 0x1183,
                   kMemorySize = 0x1102, kMemoryContext = 0x1106, kMemoryWhole = 0x1107, kMemoryOffset = 0x1108,
                   kRegion = 0x1220;
constexpr uint64_t kOutOfOrder = 1, kReadWrite = 1, kCopyHost = 1 << 5;
struct Region {
  size_t origin, size;
};

struct Driver {
  int32_t (*clGetCommandQueueInfo)(Handle, uint32_t, size_t, void*, size_t*);
  int32_t (*clGetMemObjectInfo)(Handle, uint32_t, size_t, void*, size_t*);
  Handle (*clCreateProgramWithSource)(Handle, uint32_t, const char**, const size_t*, int32_t*);
  int32_t (*clBuildProgram)(Handle, uint32_t, const Handle*, const char*, void*, void*);
  int32_t (*clGetProgramBuildInfo)(Handle, Handle, uint32_t, size_t, void*, size_t*);
  int32_t (*clReleaseProgram)(Handle);
  Handle (*clCreateKernel)(Handle, const char*, int32_t*);
  int32_t (*clReleaseKernel)(Handle);
  int32_t (*clSetKernelArg)(Handle, uint32_t, size_t, const void*);
  Handle (*clCreateBuffer)(Handle, uint64_t, size_t, void*, int32_t*);
  Handle (*clCreateSubBuffer)(Handle, uint64_t, uint32_t, const void*, int32_t*);
  int32_t (*clReleaseMemObject)(Handle);
  int32_t (*clEnqueueCopyBuffer)(Handle, Handle, Handle, size_t, size_t, size_t, uint32_t, const Handle*, Handle*);
  int32_t (*clEnqueueFillBuffer)(Handle, Handle, const void*, size_t, size_t, size_t, uint32_t, const Handle*, Handle*);
  int32_t (*clEnqueueNDRangeKernel)(Handle, Handle, uint32_t, const size_t*, const size_t*, const size_t*, uint32_t,
                                    const Handle*, Handle*);

  Driver() {
    const Library library("OpenCL", {"libOpenCL.so.1", "libOpenCL.so"});
#define LATHE_FIND(name) library.find(name, #name)
    LATHE_FIND(clGetCommandQueueInfo);
    LATHE_FIND(clGetMemObjectInfo);
    LATHE_FIND(clCreateProgramWithSource);
    LATHE_FIND(clBuildProgram);
    LATHE_FIND(clGetProgramBuildInfo);
    LATHE_FIND(clReleaseProgram);
    LATHE_FIND(clCreateKernel);
    LATHE_FIND(clReleaseKernel);
    LATHE_FIND(clSetKernelArg);
    LATHE_FIND(clCreateBuffer);
    LATHE_FIND(clCreateSubBuffer);
    LATHE_FIND(clReleaseMemObject);
    LATHE_FIND(clEnqueueCopyBuffer);
    LATHE_FIND(clEnqueueFillBuffer);
    LATHE_FIND(clEnqueueNDRangeKernel);
#undef LATHE_FIND
  }
};

// Opened once, and again by the next call where it failed.
const Driver& driver() {
  static const Driver opened;
  return opened;
}

void check(int32_t status, const char* function) {
  if (status != 0) fail(LATHE_DEVICE, "OpenCL: expected {} to succeed, got error {}", function, status);
}

// Released when it goes out of scope: what was queued keeps it as long as it needs it.
class Memory {
 public:
  explicit Memory(Handle handle) : handle_(handle) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (handle_) driver().clReleaseMemObject(handle_);
  }
  const Handle& get() const { return handle_; }

 private:
  Handle handle_;
};

Handle part_of(const Place& place) {
  // this device may take what others refuse
  if (place.offset % kDeviceAlignment != 0)
    fail(LATHE_INTERNAL, "a part of the workspace: expected it to begin at a multiple of {} bytes, got {}",
         kDeviceAlignment, place.offset);
  const Region region{place.offset, place.bytes};
  int32_t status = 0;
  const Handle part = driver().clCreateSubBuffer(place.memory, kReadWrite, kRegion, &region, &status);
  check(status, "clCreateSubBuffer");
  return part;
}

template <typename Value>
Value about_queue(Handle queue, uint32_t what) {
  Value value{};
  if (driver().clGetCommandQueueInfo(queue, what, sizeof value, &value, nullptr) != 0)
    fail(LATHE_INVALID, "exec.stream: expected a cl_command_queue, got {}", place(queue));
  return value;
}

template <typename Value>
Value about_memory(Handle memory, uint32_t what) {
  Value value{};
  if (driver().clGetMemObjectInfo(memory, what, sizeof value, &value, nullptr) != 0)
    fail(LATHE_WORKSPACE, "exec.workspace: expected a cl_mem, got {}", place(memory));
  return value;
}

Handle build(Handle context, Handle device, const char* code, size_t bytes) {
  const Driver& cl = driver();
  int32_t status = 0;
  const Handle program = cl.clCreateProgramWithSource(context, 1, &code, &bytes, &status);
  check(status, "clCreateProgramWithSource");
  status = cl.clBuildProgram(program, 1, &device, "", nullptr, nullptr);
  if (status == 0) return program;
  std::string log(512, '\0');
  cl.clGetProgramBuildInfo(program, device, kBuildLog, log.size(), log.data(), nullptr);
  cl.clReleaseProgram(program);
  fail(LATHE_DEVICE, "OpenCL: expected the device's compiler to take a kernel, got error {}: {}", status, log.c_str());
}

}  // namespace

Programs::~Programs() {
  for (const auto& [key, program] : programs_) {
    for (const auto& [name, function] : program.functions) driver().clReleaseKernel(function);
    driver().clReleaseProgram(program.program);
  }
}

void* Programs::function(void* context, void* device, const char* code, size_t bytes, const char* name) {
  const std::tuple key{context, device, code};
  auto found = programs_.find(key);
  if (found == programs_.end()) {
    found = programs_.emplace(key, Program{}).first;
    try {
      found->second.program = build(context, device, code, bytes);
    } catch (...) {
      programs_.erase(found);
      throw;
    }
  }
  Handle& function = found->second.functions[name];
  if (!function) {
    int32_t status = 0;
    function = driver().clCreateKernel(found->second.program, name, &status);
    check(status, "clCreateKernel");
  }
  return function;
}

CommandQueue::CommandQueue(Programs& programs, void* queue, void* context) : programs_(programs), queue_(queue) {
  require(queue != nullptr, "exec.stream: expected the cl_command_queue to work in, got null");
  context_ = about_queue<Handle>(queue, kQueueContext);
  device_ = about_queue<Handle>(queue, kQueueDevice);
  require(context == nullptr || context == context_, "exec.device_context: expected the queue's {}, got {}",
          place(context_), place(context));
  require(!(about_queue<uint64_t>(queue, kQueueProperties) & kOutOfOrder),
          "exec.stream: expected a queue that works in order, got one that does not");
}

void CommandQueue::accept(const char* name, const Tensor& t) const {
  int64_t last = 0;
  for (int d = 0; d < t.rank; d++) last += std::max<int64_t>(t.stride[d] * (t.shape[d] - 1), 0);
  const uint64_t end = reinterpret_cast<uint64_t>(t.data) + static_cast<uint64_t>((last + 1) * size_of(t.storage));
  size_t size = 0;
  Handle context = nullptr;
  if (driver().clGetMemObjectInfo(t.memory, kMemorySize, sizeof size, &size, nullptr) != 0 ||
      driver().clGetMemObjectInfo(t.memory, kMemoryContext, sizeof context, &context, nullptr) != 0)
    fail(LATHE_INVALID, "{}: expected a cl_mem, got {}", name, place(t.memory));
  require(context == context_, "{}: expected a cl_mem of the queue's context {}, got one of {}", name, place(context_),
          place(context));
  require(end <= size, "{}: expected a cl_mem of at least {} bytes, got {}", name, end, size);
}

// Memory itself begins at multiples of more.
bool CommandQueue::aligned(const Tensor& t, uint64_t bytes) const {
  return reinterpret_cast<uint64_t>(t.data) % bytes == 0;
}

Place CommandQueue::workspace(void* memory, size_t bytes) const {
  const auto size = about_memory<size_t>(memory, kMemorySize);
  if (size < bytes) fail(LATHE_WORKSPACE, "exec.workspace: expected {} bytes, got a cl_mem of {}", bytes, size);
  // there are no parts of parts
  const auto whole = about_memory<Handle>(memory, kMemoryWhole);
  return {whole ? whole : memory, whole ? about_memory<size_t>(memory, kMemoryOffset) : 0, bytes};
}

// The driver copies when it makes a buffer, and need not be waited for.
void CommandQueue::stage(const Place& to, const void* from, size_t bytes) {
  int32_t status = 0;
  const Memory copy(driver().clCreateBuffer(context_, kReadWrite | kCopyHost, bytes, const_cast<void*>(from), &status));
  check(status, "clCreateBuffer");
  check(driver().clEnqueueCopyBuffer(queue_, copy.get(), to.memory, 0, to.offset, bytes, 0, nullptr, nullptr),
        "clEnqueueCopyBuffer");
}

void CommandQueue::fill(const Place& at, float value, size_t count) {
  check(driver().clEnqueueFillBuffer(queue_, at.memory, &value, sizeof value, at.offset, count * sizeof value, 0,
                                     nullptr, nullptr),
        "clEnqueueFillBuffer");
}

void CommandQueue::launch(const Launch& launch) {
  const Driver& cl = driver();
  const Handle function = programs_.function(context_, device_, launch.code, launch.code_bytes, launch.function);
  std::deque<Memory> parts;
  uint32_t n = 0;
  for (; launch.sizes[n]; n++) {
    if (!launch.is_buffer[n]) {
      check(cl.clSetKernelArg(function, n, launch.sizes[n], launch.arguments[n]), "clSetKernelArg");
      continue;
    }
    const auto& place = place_of(launch.arguments[n]);
    if (place.bytes) parts.emplace_back(part_of(place));
    check(cl.clSetKernelArg(function, n, sizeof(Handle), place.bytes ? &parts.back().get() : &place.memory),
          "clSetKernelArg");
  }
  // Halide's functions end with the memory of a block, and take some where they need none
  check(cl.clSetKernelArg(function, n, static_cast<size_t>(std::max(launch.shared, 1)), nullptr), "clSetKernelArg");
  size_t threads[3], all[3];
  for (size_t d = 0; d < 3; d++) {
    threads[d] = static_cast<size_t>(launch.threads[d]);
    all[d] = threads[d] * static_cast<size_t>(launch.blocks[d]);
  }
  check(cl.clEnqueueNDRangeKernel(queue_, function, 3, nullptr, all, threads, 0, nullptr, nullptr),
        "clEnqueueNDRangeKernel");
}

}  // namespace lathe::opencl
