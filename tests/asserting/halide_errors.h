// What the checks inside asserting kernels complained of.
#pragma once

#include <string>
#include <vector>

namespace support {

// The complaints since the last call, from whichever threads; empty when every check held.
std::vector<std::string> take_halide_errors();

}  // namespace support
