// What the library lists: a call is drawn among these.
#pragma once

#include <string>
#include <vector>

namespace fuzz {

struct Map {
  std::string name, attribute;
  bool projects, required;
};
const std::vector<Map>& maps();
struct Variant {
  std::string name;
  bool decay, gate, bonus, steps, beta, sizes, moves, adapts, rows, keyed;
};
const std::vector<Variant>& variants();
const std::vector<std::string>& operators();

}  // namespace fuzz
