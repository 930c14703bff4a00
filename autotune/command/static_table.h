// `lathe bench --static`: what a static model says of each loop of a row's kernels, for processors that need not be
// here; of a row of a device, what device_table.h tells.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "../journal.h"

namespace lathe::tune {

struct StaticOptions {
  std::string row, tune_for = "generic", filter, json;
  std::vector<std::string> cpus;    // as llvm-mca or ptxas names them; none: those of the row's architecture
  std::vector<std::string> beside;  // files with the body of a loop, to rate beside
  int jobs = 2;
  bool brief = false;  // of a CUDA row: no listing, which takes most of the time
};

inline constexpr int kSkipped = 77;

// What is found out of a kernel; where that fails, Infrastructure that names the kernel.
template <typename Find>
auto of_kernel(const std::string& name, Find find) {
  try {
    return find();
  } catch (const std::exception& error) {
    throw Infrastructure(name + ": " + error.what());
  }
}

// 0; kSkipped and the reason where there is no llvm-mca.
int static_table(const StaticOptions& options);

}  // namespace lathe::tune
