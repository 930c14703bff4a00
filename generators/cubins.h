// Machine code of NVIDIA's architectures beside a kernel's PTX, so that the driver has nothing to compile.
#pragma once

#include <Halide.h>

#include <string>
#include <vector>

namespace lathe::gen {

struct CudaTools {
  std::string ptxas = "ptxas", fatbinary = "fatbinary";
};

// The module with one fatbin for its device code: the PTX and what ptxas makes of it for each architecture, as sm_80.
// Files on the way are named after `stem`, and go. Throws std::runtime_error with what a program said.
Halide::Module with_cubins(const Halide::Module& module, const std::vector<std::string>& architectures,
                           const CudaTools& tools, const std::string& stem);

}  // namespace lathe::gen
