// What a figure needs beside it: the processor.
#pragma once

#include <string>

namespace lathe::bench {

std::string cpu_model();
// Those that decide which kernels can run.
std::string cpu_features();

}  // namespace lathe::bench
