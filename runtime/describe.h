// The lists of lathe_list, as JSON text.
#pragma once

#include <string>

namespace lathe {

// what: "ops", "variants", "maps", "dtypes", "targets" or "kernels". Throws Error(INVALID).
std::string list(const std::string& what);

}  // namespace lathe
