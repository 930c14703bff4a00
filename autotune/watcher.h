// A sweep as it is seen while it runs: a bar on a terminal, lines elsewhere, events for programs.
#pragma once

#include <string>

#include "sweep.h"

namespace lathe::tune {

class Watcher {
 public:
  Watcher(std::string name, double most_seconds, bool json);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  void at(const Progress& progress);

 private:
  std::string name_;
  double most_seconds_;
  bool json_, terminal_;
  double said_ = -1e9;
  std::string phase_;
};

}  // namespace lathe::tune
