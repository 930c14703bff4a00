// Whoever says how good a built candidate is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "builder.h"

namespace lathe::tune {

class Measurer {
 public:
  virtual ~Measurer() = default;
  // "native", "emulated", "static-mca", "static-sass": what its figures may be used for.
  virtual std::string fidelity() const = 0;
  // Whether candidates must answer rightly to be rated at all.
  virtual bool verifies() const { return true; }
  // Whether several can be rated side by side: not where they are timed.
  virtual bool at_once() const { return false; }
  virtual Outcome measure(const Space& space, const Candidate& candidate, const Job& job) = 0;
};

struct Runner {
  std::string program;
  std::vector<std::string> wrap;  // words around it, "{}" where it stands; empty: it is run as it is
  std::vector<std::string> push;  // a command that brings the file "{}" to where the wrapped runner finds it
  bool emulated = false;          // it answers, but its times mean nothing
  Limits limits{60, uint64_t{4} << 30, 300};
};

// Splits at spaces; throws std::invalid_argument when no word has "{}".
std::vector<std::string> wrapped_words(const std::string& text);

// The runner on this machine, or wherever its wrapper takes it.
std::unique_ptr<Measurer> runner_measurer(const Runner& runner);
// What a runner printed and how it ended, as an outcome.
Outcome read_runner(const Ended& ended, bool race);

}  // namespace lathe::tune
