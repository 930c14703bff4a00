// A static model in place of a machine: llvm-mca's cycles of the innermost loops. Its figures rank; they are no times.
#pragma once

#include <memory>
#include <string>

#include "measurer.h"

namespace lathe::tune {

struct Mca {
  std::string program;  // empty: llvm-mca-19, else llvm-mca
  std::string cpu;      // as llvm-mca names it; empty: the one of the machine
};

// With a verifier, candidates must first answer rightly there. Throws std::invalid_argument when there is no llvm-mca.
std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier);

// The innermost loops of an assembly listing, each ready for llvm-mca: from a label to the branch back to it.
struct Loop {
  std::string label, body;
  int spills = 0;  // loads and stores on the stack
};
std::vector<Loop> innermost_loops(const std::string& assembly);

// Where the program is; empty when it is not.
std::string find_mca();

}  // namespace lathe::tune
