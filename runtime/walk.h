// A causal scan that walks its tokens one by one: where no kernel has a chunk of them.
#pragma once

#include "worker.h"

namespace lathe {

// Of the heads of a unit, states included.
void walk_tokens(Worker& worker, const Sequence& s, const Unit& unit);

}  // namespace lathe
