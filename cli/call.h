// The C library as this program calls it: a plan, a run. Refusals become exceptions.
#pragma once

#include <lathe.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.h"

namespace lathe::cli {

// What went wrong, said for the one who typed the command.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct What {
  std::string op, variant = "plain", map = "identity";
  bool normalise = false;
  std::vector<std::pair<std::string, double>> attributes = {};
};

class Call {
 public:
  Call(const What& what, const Arguments& shapes, int threads);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void run(const Arguments& arguments);
  nlohmann::json describe() const;

 private:
  lathe_context* context_ = nullptr;
  lathe_plan* plan_ = nullptr;
};

// A call that was made and timed.
struct Timed {
  std::string what;
  nlohmann::json description;  // of lathe_describe
  double seconds = 0;
  int64_t tokens = 0;
  double flops_per_token = 0;  // useful ones: 4 H K V
};
nlohmann::json to_json(const Timed& timed);

template <typename Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One of the lists of lathe_list.
nlohmann::json list_of(const std::string& what);

}  // namespace lathe::cli
