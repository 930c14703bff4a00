// A static model in place of a machine: llvm-mca's cycles of each loop, times how often it runs. Its figures rank; they
// are no times.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "measurer.h"

namespace lathe::tune {

struct Mca {
  std::string program;  // empty: llvm-mca-19, else llvm-mca
  std::string cpu;      // as llvm-mca names it; empty: the one of the machine
  std::string runner;   // of this machine: tells how large arguments are
};

// With a verifier, candidates must first answer rightly there. Throws std::invalid_argument when there is no llvm-mca.
std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier);

// Whoever measures, and the model beside: a sweep that tells how well the model ranks.
std::unique_ptr<Measurer> rated_measurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model);

// A loop of an assembly listing, as LLVM's own comments tell it. Its body is what stands in no loop inside, ready for
// llvm-mca.
struct Loop {
  std::string name;  // as Halide called it, perhaps with a suffix of LLVM's
  std::string body;
  int spills = 0;  // loads and stores on the stack
  bool innermost = true;
};
// In the order in which they begin.
std::vector<Loop> loops_of(const std::string& assembly);

// How often each loop of the lowered kernel runs, as the generator writes it.
struct Trips {
  double count = 0;
  bool innermost = true;
  std::string name;
};
std::vector<Trips> read_trips(const std::string& text);
// For each loop of the listing how often its body runs; 0 for one of several copies of a loop that is not the one that
// runs, and for loops of nobody's.
std::vector<double> matched(const std::vector<Loop>& loops, const std::vector<Trips>& trips);

// Where the program is; empty when it is not.
std::string find_mca();

}  // namespace lathe::tune
