// What kernels of rows and the library that calls them agree on.
#pragma once

namespace lathe {

// Tokens of one head that are taken before the next head's, at most, where a chunk is shorter and nothing hangs on it:
// how often a state comes from the second-level cache. Of the recurrence's chunks of 16, 32 and 48 tokens the longer
// two were 5 % faster at K = V = 64.
constexpr int kStretch = 32;

// Tokens of a chunk that the recurrence's normaliser takes at once, and columns of the rows in which it has its sums.
constexpr int kFewSums = 8, kLanes = 8;

}  // namespace lathe
