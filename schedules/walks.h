// Loops that the threads of a block walk together, waiting for each other in every round.
#pragma once

#include "../generators/kernel.h"

namespace lathe::gen {

// Of such loops each thread keeps in registers what outlasts a round: what it has stored of an output and reads again
// in the next round, and what the next round copies to shared memory, asked for while this one is at work. No schedule
// can say this: what Halide has in registers ends with the round.
void keep_in_registers(Halide::Pipeline& pipeline, const Kernel& kernel);

}  // namespace lathe::gen
