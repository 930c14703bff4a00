// The text of a module, as instructions that can be run.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "instruction.h"

namespace ptx {

struct Parameter {
  uint64_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  uint64_t parameter_bytes = 0, shared_bytes = 0, local_bytes = 0;  // of shared memory those that the module asks for
  uint32_t most_threads = 1024;
  std::vector<Instruction> code;
  std::vector<uint64_t> slots;     // as every thread begins: constants in their places, registers at 0
  std::vector<std::string> lines;  // the module's text
};

struct Module {
  int target = 0;  // 70 for sm_70
  std::map<std::string, Kernel, std::less<>> kernels;
};

// Says the line, and what is wrong with it.
struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws ParseError at whatever it does not know: nothing is passed over.
Module parse(std::string_view text);

}  // namespace ptx
