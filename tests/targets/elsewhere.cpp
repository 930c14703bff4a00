#include "elsewhere.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "opencl.h"

namespace opencl {

using namespace support;
using Handle = void*;

namespace {

// What a caller's own program does with OpenCL.
class Host {
 public:
  Host() : library_(dlopen("libOpenCL.so.1", RTLD_NOW)) {
    Handle platform = nullptr;
    call<int(uint32_t, Handle*, uint32_t*)>("clGetPlatformIDs")(1, &platform, nullptr);
    constexpr uint64_t any_device = 0xffffffff;
    call<int(Handle, uint64_t, uint32_t, Handle*, uint32_t*)>("clGetDeviceIDs")(platform, any_device, 1, &device_,
                                                                                nullptr);
    int status = 0;
    context_ = call<Handle(const Handle*, uint32_t, const Handle*, Handle, Handle, int*)>("clCreateContext")(
        nullptr, 1, &device_, nullptr, nullptr, &status);
    queue_ = call<Handle(Handle, Handle, uint64_t, int*)>("clCreateCommandQueue")(context_, device_, 0, &status);
    EXPECT_EQ(status, 0);
  }

  Handle allocate(size_t bytes) const {
    int status = 0;
    const Handle memory =
        call<Handle(Handle, uint64_t, size_t, void*, int*)>("clCreateBuffer")(context_, 1, bytes, nullptr, &status);
    EXPECT_EQ(status, 0);
    return memory;
  }
  void release(Handle memory) const { call<int(Handle)>("clReleaseMemObject")(memory); }
  void write(Handle memory, const std::vector<unsigned char>& bytes) const {
    EXPECT_EQ(call<Copy>("clEnqueueWriteBuffer")(queue_, memory, 1, 0, bytes.size(),
                                                 const_cast<unsigned char*>(&bytes[0]), 0, nullptr, nullptr),
              0);
  }
  void read(Handle memory, std::vector<unsigned char>& bytes) const {
    EXPECT_EQ(call<Copy>("clEnqueueReadBuffer")(queue_, memory, 1, 0, bytes.size(), bytes.data(), 0, nullptr, nullptr),
              0);
  }
  Handle queue() const { return queue_; }

 private:
  using Copy = int(Handle, Handle, uint32_t, size_t, size_t, void*, uint32_t, const Handle*, Handle*);
  template <typename Function>
  Function* call(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(library_, name));
  }
  Handle library_, device_ = nullptr, context_ = nullptr, queue_ = nullptr;
};

const Host& host() {
  static const Host all;
  return all;
}

}  // namespace

Moved::Moved(Tensor& tensor) : tensor_(tensor), before_(tensor.view), bytes_(tensor.bytes()) {
  std::vector<unsigned char> all(kAround, kGuard);
  all.insert(all.end(), bytes_.begin(), bytes_.end());
  all.insert(all.end(), kAround, kGuard);
  memory_ = host().allocate(all.size());
  host().write(memory_, all);
  tensor.view.device_type = 4;
  tensor.view.data = memory_;
  tensor.view.byte_offset = kAround + tensor.bytes_before();
}

Moved::~Moved() {
  std::vector<unsigned char> all(kAround + bytes_.size() + kAround);
  host().read(memory_, all);
  host().release(memory_);
  const auto inside = all.begin() + kAround, end = inside + static_cast<std::ptrdiff_t>(bytes_.size());
  tensor_.put_bytes({inside, end});
  tensor_.view = before_;
  EXPECT_EQ(std::count(all.begin(), inside, kGuard) + std::count(end, all.end(), kGuard), 2 * kAround)
      << "written outside a tensor";
}

Call::Call(const Context& context, const Arguments& arguments, const Options& options) {
  for (const auto& [role, tensor] : arguments.tensors)
    if (tensor->type() != Type::I32 && tensor->type() != Type::I64 && !moved_.contains(tensor.get()))
      moved_.emplace(tensor.get(), std::make_unique<Moved>(*tensor));
  exec_.size = sizeof exec_;
  exec_.stream = host().queue();
  plan_ = std::make_unique<Plan>(context, arguments, options.free_extents);
  status_ = plan_->status;
  const std::vector<lathe_arg> args = arguments.list();
  if (!status_) status_ = lathe_plan_workspace(plan_->get(), args.data(), args.size(), &exec_.workspace_bytes);
  const size_t bytes = std::max<size_t>(exec_.workspace_bytes, 1);
  workspace_ = exec_.workspace = host().allocate(bytes);
  // what the library does not fill is NaN
  host().write(exec_.workspace, std::vector<unsigned char>(bytes, 0xff));
}

Call::~Call() { host().release(workspace_); }

namespace {

lathe_status run_on_device(const Context& context, const Arguments& arguments, const Options& options) {
  const Call call(context, arguments, options);
  return call.status() ? call.status() : run(context, call.plan(), arguments, &call.exec());
}

[[maybe_unused]] const bool set = [] {
  if (platforms() > 0) elsewhere = run_on_device;
  return true;
}();

}  // namespace

}  // namespace opencl
