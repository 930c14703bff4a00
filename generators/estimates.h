// What a kernel will be called with, for whoever must know before it is.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lathe::gen {

// The extents of each buffer, the value of each number, by the argument's name.
using Estimates = std::map<std::string, std::vector<double>>;

// From words "NAME=W", "NAME=WxH", "NAME=N". Throws std::invalid_argument.
Estimates parse_estimates(const std::string& problem);

}  // namespace lathe::gen
