// What this machine can do at best, measured beside everything that is compared with it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "contestant.h"
#include "team.h"

namespace lathe::bench {

// Multiply-adds in registers, in the widest instruction set that turns out fastest.
class FmaProbe : public Contestant {
 public:
  explicit FmaProbe(int threads);
  double seconds(int repeats) override;
  // Of one run, all threads together; so flops over the best seconds is the peak.
  double flops() const;
  std::string instructions() const;

 private:
  int rounds() const;

  Team team_;
  int kernel_;
};

// x = a x + b in place: one read and one write of memory that somebody else owns, whose values it keeps.
class StreamProbe : public Contestant {
 public:
  StreamProbe(float* data, size_t count, int threads) : team_(threads), data_(data), count_(count) {}
  double seconds(int repeats) override;

 private:
  Team team_;
  float* data_;
  size_t count_;
};

}  // namespace lathe::bench
