// `lathe bench --static` of a CUDA row: what NVIDIA's own assembler makes of every kernel, for GPUs that need not be
// here.
#pragma once

#include "static_table.h"

namespace lathe::tune {

// 0; 1 where a kernel spills or shares more memory than every GPU has for a block; kSkipped and the reason where there
// is no assembler.
int device_table(const StaticOptions& options);

}  // namespace lathe::tune
