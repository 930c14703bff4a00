// What the oracles of momentum share.
#pragma once

#include "reference.h"

namespace reference {

// How much of it a head's momentum keeps from one token to the next.
double momentum_kept(const Problem& p, int64_t head);

// The mapped key of a token and its value.
struct KeyAndValue {
  Feature k;
  std::vector<double> v;
};
// What a token does to a momentum: P' = kept P - taken k^T v; `unsure` is by how many epsilons `kept` may be off.
struct Adapted {
  double kept, taken, unsure = 0;
};
using Adapt =
    std::function<Adapted(int64_t head, const Feature& momentum, const KeyAndValue& token, const KeyAndValue& last)>;
Answers heavy_ball(const Problem& p, const Adapt& adapt);

}  // namespace reference
