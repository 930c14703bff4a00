// The queues that a context's calls went to, and what is kept for the next ones.
#pragma once

#include <memory>

#include "../lathe.h"
#include "../rows.h"
#include "cuda.h"
#include "opencl.h"

namespace lathe {

struct Queues {
  opencl::Programs programs;
  cuda::Modules modules;
};

// That of a call with tensors of this device type, for kernels of this row.
inline std::unique_ptr<Queue> open_queue(Queues& kept, int32_t device, const char* row, const lathe_exec& exec) {
  if (device == kCuda)
    return std::make_unique<cuda::Stream>(kept.modules, exec.stream, exec.device_context, capability_of(row));
  return std::make_unique<opencl::CommandQueue>(kept.programs, exec.stream, exec.device_context);
}

}  // namespace lathe
