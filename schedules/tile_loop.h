// One call for many tiles of tokens and columns.
#pragma once

#include "../generators/kernel.h"
#include "knobs.h"

namespace lathe::gen {

// What a kernel says of one tile (Kernel::along_tokens), for as many as its buffers have: tokens one after the other,
// and of each the columns of the state, so many at a time. What a tile leaves in place enters the next, and both are
// one buffer here, so that the compiler knows.
//
// Every second row of the state asks for memory that later calls will want, two lines of it (Kernel::ask). On a Zen 5
// a burst before each tile cost 3 to 15 % more, one line a row more where registers are short, four lines every fourth
// row more where a token has seven rows of its own. A step of the loop over rows has so many as `rows` of the numbers
// says.
//
// No schedule can say this: Halide makes one loop of a sum and an update only where both stand at the root, and has no
// loop around those. So it is put around what Halide has made of them.
void loop_over_tiles(Halide::Pipeline& pipeline, const Kernel& kernel, int columns, const Numbers& numbers);

}  // namespace lathe::gen
