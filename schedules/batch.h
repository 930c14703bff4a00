// One call for many: what an algorithm says of one chunk and one head, for all of them at once.
#pragma once

#include "../generators/kernel.h"

namespace lathe::gen {

// Every buffer and every Func gets two more dimensions, items and heads, and each item and head reads and writes its
// own. Algorithms stay as they are; devices, which want one launch for a whole call, schedule this. A stride of 0 lets
// items or heads share what a buffer holds; a number of Kernel::each() becomes a buffer of one number for each item.
// Buffers of Kernel::tokens() begin, for each item, as many vectors of four further on as a new buffer `<name>_at`
// says, and of their rows no more are read than `rows` says, another one: later ones are the last of those again, and
// sums leave them out. So do those of Kernel::columns_of_tokens(), of which rows are handed over in place of columns: a
// Func that reads them gets Role::turned. Where an item has several chunks, each of those numbers is another for each.
// The row of a Kernel::token() and a Kernel::state() are found likewise, and a sum over the rows of a state has none
// where `rows` is 0. A state that others read when it is made gets Role::kept: they store it (stores.h).
void batch(Kernel& kernel);

inline constexpr int kBatchDimensions = 2;

}  // namespace lathe::gen
