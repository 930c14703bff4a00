// What kernels of rows and the library that calls them agree on.
#pragma once

namespace lathe {

// Tokens of one head that are taken before the next head's, at most, where a chunk is shorter and nothing hangs on it:
// how often a state comes from the second-level cache. On a Zen 5 64 took 0.95 to 1 of the time that 32 did, whatever
// the variant and at K = V = 64 and 128, and 128 as long as 32: rows then come from the second-level cache too.
constexpr int kStretch = 64;

// Tokens of a chunk that the recurrence's normaliser takes at once, and columns of the rows in which it has its sums.
constexpr int kFewSums = 8, kLanes = 8;

// Lines of a cache, of 64 bytes, for which one address stands where kernels ask for memory (Kernel::ask).
constexpr int kLinesAsked = 4;

}  // namespace lathe
