// How lathe-gen ends when Halide or LLVM gives up: one paragraph on stderr that names the kernel, and exit code 1. Left
// alone, some of these errors leave through std::terminate or abort, which say nothing of what was being made.
#pragma once

#include <string>

namespace lathe::gen {

// From here on, what goes wrong is reported as going wrong in `making`: the kernel, its row and its numbers.
void report_compile_errors(const std::string& making);

}  // namespace lathe::gen
