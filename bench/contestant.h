// Whoever is timed: lathe, a peer, or a probe of the machine.
#pragma once

#include <string>
#include <vector>

namespace lathe::bench {

class Contestant {
 public:
  virtual ~Contestant() = default;
  // Does its work that often in a row and returns the seconds it took.
  virtual double seconds(int repeats) = 0;
};

// One that computes an answer.
class Solver : public Contestant {
 public:
  // The output of the last run as float32, in the order of the case's layout.
  virtual std::vector<float> output() = 0;
  // What it chose: a kernel, a chunk length.
  virtual std::string note() const = 0;
};

}  // namespace lathe::bench
