// OpenCL through the caller's queue. The driver is opened at run time: a library that was linked without one, on a
// machine that has none, says so when it is asked for.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "device.h"

namespace lathe::opencl {

// Programs that were built for calls of a lathe_context, and their functions. Of one caller at a time.
class Programs {
 public:
  Programs() = default;
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;
  ~Programs();

  void* function(void* context, void* device, const char* code, size_t bytes, const char* name);

 private:
  struct Program {
    void* program = nullptr;
    std::map<std::string, void*> functions;
  };
  std::map<std::tuple<void*, void*, const char*>, Program> programs_;  // by context, device and where the code lies
};

// Throws Error(DEVICE) where there is no driver; Error(INVALID) or Error(WORKSPACE) where queue or memory will not do.
class CommandQueue : public Queue {
 public:
  // A cl_command_queue; `context` is its cl_context, or null.
  CommandQueue(Programs& programs, void* queue, void* context);
  void stage(const Place& to, const void* from, size_t bytes) override;
  void fill(const Place& at, float value, size_t count) override;
  void launch(const Launch& launch) override;
  bool aligned(const Tensor& tensor, uint64_t bytes) const override;
  void accept(const char* name, const Tensor& tensor) const override;
  Place workspace(void* memory, size_t bytes) const override;

 private:
  Programs& programs_;
  void *queue_, *context_ = nullptr, *device_ = nullptr;
};

}  // namespace lathe::opencl
