// A static model in place of a machine: llvm-mca's cycles of each loop, times how often it runs. Its figures rank; they
// are no times.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "loops.h"
#include "measurer.h"

namespace lathe::tune {

struct Mca {
  std::string program;  // empty: llvm-mca-19, else llvm-mca
  std::string cpu;      // as llvm-mca names it; empty: the one of the machine
  std::string runner;   // of this machine: tells how large arguments are
};

class StaticModel {
 public:
  // Throws std::invalid_argument when there is no llvm-mca.
  StaticModel(Mca mca, const Tools& tools);

  // What the generator makes of a candidate, and for each shape of the job how often each of the loops runs; on failure
  // nothing, and the outcome tells.
  std::vector<Loop> loops(Outcome& outcome, const Space& space, const Candidate& candidate) const;
  std::vector<std::vector<double>> trips(Outcome& outcome, const Space& space, const Candidate& candidate,
                                         const Job& job, const std::vector<Loop>& loops) const;
  // Cycles of a round of each, 0 of an empty one; on failure nothing, and the outcome tells.
  std::vector<double> cycles(Outcome& outcome, const Space& space, const std::string& cpu,
                             const std::vector<std::string>& bodies) const;
  const std::string& cpu() const { return mca_.cpu; }

 private:
  std::vector<std::string> problems(Outcome& outcome, const Candidate& candidate, Job job) const;
  std::string generate(Outcome& outcome, const Space& space, const Candidate& candidate, const std::string& kind,
                       const std::vector<std::string>& problems) const;

  Mca mca_;
  const Tools& tools_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::vector<std::string>> problems_;  // many candidates have the same
};

// With a verifier, candidates must first answer rightly there. Throws std::invalid_argument when there is no llvm-mca.
std::unique_ptr<Measurer> mca_measurer(const Mca& mca, const Tools& tools, std::unique_ptr<Measurer> verifier);

// Whoever measures, and the model beside: a sweep that tells how well the model ranks.
std::unique_ptr<Measurer> rated_measurer(std::unique_ptr<Measurer> measurer, std::unique_ptr<Measurer> model);

// Where the program is; empty when it is not.
std::string find_mca();

}  // namespace lathe::tune
