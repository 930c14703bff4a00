// A static model in place of a GPU: ranks candidates of a CUDA row by the time that docs/gpu.md's model gives them. Its
// figures rank; they are no times.
#pragma once

#include <memory>
#include <string>

#include "device_kernel.h"
#include "measurer.h"

namespace lathe::tune {

// `cpu` is "sm_80" or another architecture that the model knows; `runner`, of this machine, tells how large arguments
// are. Throws std::invalid_argument without the programs or for another architecture.
std::unique_ptr<Measurer> sass_measurer(const CudaTools& cuda, const std::string& cpu, const Tools& tools,
                                        const std::string& runner);

}  // namespace lathe::tune
