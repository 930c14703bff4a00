// NVIDIA's machine code as `nvdisasm -c -hex` lists it: instructions with their operands, and what the assembler wrote
// beside each for the scheduler.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tune::sass {

enum class Kind { none, reg, uniform, predicate, uniform_predicate, number, constant, memory, special };

struct Operand {
  Kind kind = Kind::none;
  int index = 0;                           // of a register; of memory's base
  bool negated = false, inverted = false;  // -x, or !x of a predicate; ~x
  int64_t number = 0;                      // an immediate; an offset of a constant or of memory
  int uniform = -1;                        // of memory: a register that all threads add; -1: none
  int scale = 1;                           // of memory's base
  bool wide = false;                       // memory's base is a pair of registers
  std::string name = {};                   // of a special register
};

constexpr int kZero = 255, kUniformZero = 63, kTrue = 7;  // registers that are 0, predicates that are true

// Of the 21 bits that the assembler fills for the scheduler: see docs/gpu.md.
struct Control {
  int stall = 1;                // cycles until the warp may issue again
  int sets = 7, read_sets = 7;  // barriers that clear with the result, and when operands have been read; 7: none
  int waits = 0;                // barriers that must be clear, a bit each
};

struct Instruction {
  std::string text, code;              // all of it; "FFMA"
  std::vector<std::string> modifiers;  // "E", "128"
  uint32_t immediate = 0;              // of its encoding, where it has one
  Operand guard{Kind::predicate, kTrue, false, false, 0, -1, 1, false, {}};
  std::vector<Operand> operands;
  int target = -1;  // of a branch
  Control control;

  bool has(std::string_view modifier) const;
};

using Code = std::vector<Instruction>;
// By the function's name. Throws std::invalid_argument at an operand or a line that it cannot read.
std::map<std::string, Code> read_code(const std::string& listing);

}  // namespace lathe::tune::sass
