// Follows the machine code of a kernel, a warp at a time, without a GPU: control and addresses are computed as the
// device would, floats are not. Every number that a kernel loads is 1 unless its launch says otherwise, and every float
// that it makes is 1.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sass_code.h"

namespace lathe::tune::sass {

// What an instruction keeps busy.
enum class Pipe { fma, multiply, alu, special, uniform, constant, shared, global, control };

// An argument of a function: 4 or 8 bytes, and of a pointer what lies there.
struct Argument {
  int bytes = 4;
  int64_t value = 0;
  int64_t extent = 0;  // bytes behind a pointer; 0: a number
  bool whole = false;  // whole numbers lie there, all of them `value`
};
struct Grid {
  std::array<int64_t, 3> blocks{1, 1, 1};
  std::array<int, 3> threads{1, 1, 1};
  std::vector<Argument> arguments;
  int64_t count() const { return blocks[0] * blocks[1] * blocks[2]; }
  int warps() const { return (threads[0] * threads[1] * threads[2] + 31) / 32; }
};

// Part of a line of 128 bytes: a bit for each of its four sectors.
struct Touched {
  uint64_t line;
  uint8_t sectors;
};
struct Step {
  int at;                         // the instruction
  int threads = 0;                // that take part
  int wavefronts = 0;             // of an access to memory: 0 where no thread takes part
  uint32_t first = 0, lines = 0;  // what it touches of global memory
};
struct Trace {
  std::vector<Step> steps;
  std::vector<Touched> touched;
};

struct Meaning;
// A function's code, and what its instructions mean. One that is unknown is refused where it is reached.
class Program {
 public:
  Program(Code code, int architecture);
  const Code& code() const { return code_; }
  Pipe pipe(int at) const;
  const Meaning& meaning(int at) const;  // throws std::invalid_argument naming an instruction that is unknown
  int architecture() const { return architecture_; }

 private:
  Code code_;
  std::vector<const Meaning*> meanings_;
  int architecture_;
};

// Of one warp of one block. Throws std::invalid_argument where the code does not end.
Trace follow(const Program& program, const Grid& grid, int64_t block, int warp);

}  // namespace lathe::tune::sass
