// Small problems through every kernel of the chosen row, against plain loops: a library that was built for another
// machine, or whose parts are of different ages, is noticed when it is loaded and not by its user.
#pragma once

#include <string>
#include <vector>

namespace lathe {

struct Check {
  const char *op, *variant, *map, *dtype;
  bool normalise;
  std::string fault;  // empty: the answers agree
};

struct SelfTest {
  const char* row;
  std::vector<Check> checks;
};

// All checks, or none after the first fault.
SelfTest self_test(bool all);
std::string to_json(const SelfTest& test);

}  // namespace lathe
