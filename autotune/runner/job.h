// What a runner is asked to do with a candidate: one JSON object on its standard input.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lathe::tune {

// Every line of a runner that is meant for the tuner starts so; whatever else is printed cannot be mistaken for one.
constexpr const char* kLineStart = "@lathe ";

// A kernel in a library of its own, and what its caller must know: as in the registry.
struct Built {
  std::string library, symbol;
  int chunk = 0, key_grain = 1, value_grain = 1, row_grain = 1;
  bool pushed = false;  // brought here for this job alone: its file goes once it is open
};

struct Argument {
  std::string name, type;  // "float32", "int32" ...
  int dimensions = 0;      // 0: a number
  bool output = false;
};

inline bool is_map(const std::string& kernel) { return kernel == "map"; }
// A map, or its gradient: an instance for each feature map, and arguments that say how large the caller's rows are.
inline bool has_map(const std::string& kernel) { return is_map(kernel) || kernel == "map_backward"; }

// Widths of a problem; M is the number of projection rows where the map has some.
struct Shape {
  int64_t D = 64, M = 0, V = 64;
};

struct Job {
  std::string kernel, axis;
  std::vector<Argument> arguments;
  Built candidate, incumbent;
  std::vector<Shape> shapes;
  bool verify = true, race = true;
  bool extents = false;  // say how large the arguments of each shape are
  bool racing = true;    // give up early on what is clearly slower
  int pairs = 24;        // fast ones that are wanted for each shape
  double seconds = 4;    // and the time that may be spent on them
  int cpu = -1;          // to stay on; -1: any
  int offset = 0;        // of the buffers from a page, in cache lines
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Built, library, symbol, chunk, key_grain, value_grain, row_grain, pushed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Argument, name, type, dimensions, output)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Shape, D, M, V)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Job, kernel, axis, arguments, candidate, incumbent, shapes, verify, race, extents,
                                   racing, pairs, seconds, cpu, offset)

}  // namespace lathe::tune
