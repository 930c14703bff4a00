// Which rows of kernels this machine runs: told from their targets by what the system says of the processor, not by the
// library.
#pragma once

#include <string>

namespace support {

enum class Row { Runs, CannotRun, Unknown };
Row row_on_this_machine(const std::string& name);
// The row that LATHE_TARGET pins, or nothing.
std::string pinned_row();

}  // namespace support
