// What docs/operators.md says of each role: said here once more, not asked of the library.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace support {

enum class Kind { Float, Float32, Integer };

struct Role {
  const char* name;
  int min_rank, max_rank;
  Kind kind;
  int dense;  // innermost dimensions
  int free;   // outermost extents that a plan may leave open
  bool output;
};
const std::map<uint32_t, Role>& roles();

// Roles without which an operator refuses to work.
const std::set<uint32_t>& needed_by(const std::string& op);

}  // namespace support
