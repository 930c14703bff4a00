// What OpenCL can tell of the caller's queue and memory.
#include "refused.h"

namespace elsewhere {

namespace {

TEST_F(Device, WantsAQueue) {
  refused(small(), LATHE_INVALID, "exec.stream", [](auto&, lathe_exec& exec) { exec.stream = nullptr; });
}

TEST_F(Device, WantsTheQueuesContext) {
  refused(small(), LATHE_INVALID, "exec.device_context", [](auto&, lathe_exec& exec) { exec.device_context = &exec; });
}

TEST_F(Device, WantsMemoryThatHoldsTheTensor) {
  refused(small(), LATHE_INVALID, "V: expected a cl_mem of at least",
          [](const Arguments& a, lathe_exec&) { a.tensors.at(LATHE_V)->view.byte_offset += 4096; });
}

}  // namespace

}  // namespace elsewhere
