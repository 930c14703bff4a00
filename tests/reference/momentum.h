// What the oracles of momentum share.
#pragma once

#include "reference.h"

namespace reference {

// How much of it a head's momentum keeps from one token to the next.
double momentum_kept(const Problem& p, int64_t head);

}  // namespace reference
