// `lathe bench --static`: what a static model says of each loop of a row's kernels, for processors that need not be
// here.
#pragma once

#include <string>
#include <vector>

namespace lathe::tune {

struct StaticOptions {
  std::string row, tune_for = "generic", filter, json;
  std::vector<std::string> cpus;    // as llvm-mca names them; none: those of the row's architecture
  std::vector<std::string> beside;  // files with the body of a loop, to rate beside
  int jobs = 2;
};

// 0; 77 and the reason where there is no llvm-mca.
int static_table(const StaticOptions& options);

}  // namespace lathe::tune
