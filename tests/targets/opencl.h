// Whether there is an OpenCL device to test on; without one every test of the program is skipped.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace opencl {

// The device's library is opened at run time, as Halide's runtime does.
inline int platforms() {
  void* library = dlopen("libOpenCL.so", RTLD_LAZY);
  if (!library) library = dlopen("libOpenCL.so.1", RTLD_LAZY);
  const auto list =
      library ? reinterpret_cast<int (*)(unsigned, void*, unsigned*)>(dlsym(library, "clGetPlatformIDs")) : nullptr;
  unsigned n = 0;
  return list && list(0, nullptr, &n) == 0 ? static_cast<int>(n) : 0;
}

class Device : public testing::Environment {
  void SetUp() override {
    if (platforms() == 0) GTEST_SKIP() << "no OpenCL platform answers (Debian: pocl-opencl-icd ocl-icd-opencl-dev)";
  }
};
[[maybe_unused]] inline const auto* const device = testing::AddGlobalTestEnvironment(new Device);

}  // namespace opencl
