// What a library of one configuration exports, so that the whole operator can be raced between two of them.
#include "../../bench/lathe_call.h"

extern "C" __attribute__((visibility("default"))) lathe::bench::Solver* lathe_judged_open(
    lathe::bench::Problem* problem, std::string* why) {
  return lathe::bench::LatheCall::open(*problem, why).release();
}
