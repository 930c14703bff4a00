// What a feature map is to the tests. Those of the tree stand in maps.cpp; one from elsewhere announces itself.
#pragma once

#include "reference.h"

namespace reference {

struct Token {
  const Problem& p;
  int64_t head, position;
  const double* x;
  Maximum subtract;  // FAVOR+: what keeps the exponentials in range
};

// Widths and attributes to try a map with, K near 40 where it widens; without D any will do.
struct Trial {
  int64_t D = 0, M = 0;
  std::map<std::string, double, std::less<>> attrs = {};
  bool denom_max = false;
};

struct Map {
  int64_t (*width)(const Problem&);
  Feature (*apply)(const Token&);
  Trial trial = {};
  bool negative = false;   // some values are, so that a denominator may come near zero
  bool pointwise = false;  // a feature of each element, and of no other
  // sizes grow with arguments, and a gradient multiplies them, until anything is within them
  bool exponential = false;
};
std::map<std::string, Map>& maps();

struct AnnounceMap {
  AnnounceMap(const char* name, const Map& map) { maps().emplace(name, map); }
};

}  // namespace reference
