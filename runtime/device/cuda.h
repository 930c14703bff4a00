// CUDA through the caller's stream. The driver, libcuda.so.1, is opened at run time; its own compiler makes code of the
// PTX that the kernels' objects hold, or it finds the code for its device beside it (LATHE_CUBINS).
#pragma once

#include <map>
#include <string>
#include <utility>

#include "device.h"

namespace lathe::cuda {

// Modules that were loaded for calls of a lathe_context, and their functions. Of one caller at a time.
class Modules {
 public:
  Modules() = default;
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;
  ~Modules();

  // In the context that is current.
  void* function(void* context, const char* code, const char* name);

 private:
  struct Module {
    void* module = nullptr;
    std::map<std::string, void*> functions;
  };
  std::map<std::pair<void*, const char*>, Module> modules_;  // by context, and by where the code lies
};

// Throws Error(DEVICE) where there is no driver, or none of its devices runs the row.
class Stream : public Queue {
 public:
  // A CUstream, null being the default one; `context` is its CUcontext, null the one that is current, and is current as
  // long as this lives. Kernels want a device of `capability`, 80 for 8.0.
  Stream(Modules& modules, void* stream, void* context, int capability);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  bool aligned(const Tensor& tensor, uint64_t bytes) const override;
  void accept(const char* name, const Tensor& tensor) const override;
  Place workspace(void* memory, size_t bytes) const override;
  void stage(const Place& to, const void* from, size_t bytes) override;
  void fill(const Place& at, float value, size_t count) override;
  void launch(const Launch& launch) override;

 private:
  Modules& modules_;
  void *stream_, *context_;
};

}  // namespace lathe::cuda
