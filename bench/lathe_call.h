// lathe itself as a contestant: one plan and its buffers.
#pragma once

#include <memory>
#include <string>

#include "contestant.h"
#include "problem.h"

namespace lathe::bench {

class LatheCall : public Solver {
 public:
  // Null, and why, when this build has no kernel for the problem.
  static std::unique_ptr<LatheCall> open(Problem& problem, std::string* why);
  // The status of the last run, as text; empty when it was well.
  virtual std::string failure() const = 0;
  // Tokens of a chunk; 0 where there is none.
  virtual int chunk() const = 0;
  virtual std::string target() const = 0;
};

}  // namespace lathe::bench
