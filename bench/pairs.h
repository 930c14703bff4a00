// The paired measuring loop. Two contestants take turns, a b b a, so that both see the same spells of a busy machine,
// and only pairs in which both were undisturbed count.
#pragma once

#include <functional>
#include <vector>

#include "contestant.h"

namespace lathe::bench {

struct PairOptions {
  int wanted = 100;          // fast pairs that a claim needs
  double seconds = 30;       // and the time that may be spent on getting them
  double tolerance = 0.15;   // a side is fast within this of its own minimum
  double shortest = 200e-6;  // a call is repeated until it lasts this long
  // Asked after every pair, with the ratios of the fast ones so far: whether that is enough.
  std::function<bool(const std::vector<double>& ratios)> settled = {};
};

struct PairResult {
  double best_a = 0, best_b = 0;  // seconds of one run
  double ratio = 0;               // median of b / a over the fast pairs: how many times faster a is
  double ratio_best = 0;          // best b / best a
  int fast_pairs = 0, pairs = 0;
  bool conclusive = false;
  std::vector<double> ratios;  // b / a of each fast pair
};

PairResult race(Contestant& a, Contestant& b, const PairOptions& options);

}  // namespace lathe::bench
