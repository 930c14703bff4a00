// The second half of the demo, the headline of Katharopoulos et al. 2020: linear attention generates in constant time
// a token and reads in linear time, where softmax attention grows with what came before.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "call.h"

namespace lathe::cli {

constexpr int64_t kHeadlineHeads = 8, kHeadlineWidth = 32;
constexpr int kPositions = 32;  // at which softmax is timed

struct Point {
  double x, seconds;
};
struct Curve {
  std::vector<Point> points;
  std::string stopped;  // why it goes no further
};

struct Generation {
  int64_t length;
  double lathe_seconds;     // all steps made and timed
  Curve cached, stateless;  // seconds of a step at a position
};

struct Headline {
  std::vector<Generation> generations;
  Curve sweep, softmax, unmasked;  // seconds against tokens
  std::string rival;               // "onnxruntime 1.2.3"; empty when it did not run
  std::string no_rival;            // ... and then why
  std::vector<Timed> calls;
};

// Sum over all positions of what was timed at some, each the middle of its stretch.
double integrated(const Curve& steps, int64_t length);

// `progress`: how far, and what is being timed.
using Tell = std::function<void(double fraction, const std::string& note)>;
Headline time_lathe(bool quick, int threads, const Tell& progress);
// Adds the curves of softmax, or why there are none. Fetches the peers' environment when it is not there.
void time_softmax(Headline& headline, bool quick, int threads, const Tell& progress);

}  // namespace lathe::cli
