// How far long work has come: a bar on a terminal, a line now and then elsewhere. On the standard error.
#pragma once

#include <chrono>
#include <string>

namespace lathe::cli {

class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void at(double fraction, const std::string& note = "");

 private:
  std::string what_;
  bool terminal_;
  double said_ = -1;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace lathe::cli
