// Whether a kernel computes what it should, and nothing besides.
#pragma once

#include <string>

#include "tiles.h"

namespace lathe::tune {

struct Verdict {
  bool right = true, stable = true;
  std::string text;  // what is wrong
  double worst = 0;  // largest error, in epsilons of its number's size
  int settings = 0;  // that were tried
};

// On awkward shapes and on those of the job; outputs start as NaN, buffers lie between forbidden pages, three runs must
// give the same bits. A fault is the caller's to catch: it is the process's end.
Verdict verify(const Job& job, const Built& built, Kernel kernel);

}  // namespace lathe::tune
