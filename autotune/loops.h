// The loops of a kernel: as they stand in an assembly listing, and how often they run.
#pragma once

#include <string>
#include <vector>

namespace lathe::tune {

// A loop of a listing, as LLVM's own comments tell it. Its body is what stands in no loop inside, ready for llvm-mca.
struct Loop {
  std::string name;  // as Halide called it, perhaps with a suffix of LLVM's
  std::string body;
  int spills = 0;  // loads and stores on the stack that LLVM added
  bool innermost = true;
};
// In the order in which they begin.
std::vector<Loop> loops_of(const std::string& assembly);

// What a body holds.
struct Contents {
  int instructions = 0, fmas = 0;
  int stores = 0, stack_stores = 0;  // of all, those by the stack pointer
};
Contents contents_of(const std::string& body);

// How often each loop of the lowered kernel runs, as the generator writes it for each problem.
struct Trips {
  double count = 0;
  bool innermost = true;
  std::string name;
};
std::vector<std::vector<Trips>> read_trips(const std::string& text);
// For each loop of the listing how often its body runs; 0 for one of several copies of a loop that is not the one that
// runs, and for loops of nobody's.
std::vector<double> matched(const std::vector<Loop>& loops, const std::vector<Trips>& trips);

}  // namespace lathe::tune
