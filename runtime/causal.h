// The causal scan over a stretch of tokens.
#pragma once

#include "worker.h"

namespace lathe {

struct Stretch {
  int64_t first, end;  // tokens; `first` begins a chunk
  bool outputs;        // else only states and normalisers move on
};
// Of the heads of a unit, which the worker has loaded.
void walk(Worker& worker, const Sequence& s, const Unit& unit, const Columns& columns, const Stretch& stretch);

// Sequences of one token take the recurrence itself: a chunk would cost as much as a full one.
constexpr int64_t kDecodeTokens = 1;

}  // namespace lathe
