#include "elements.h"

#include <algorithm>

namespace fuzz {

namespace {

// Far beyond any memory, and far from where sums of it overflow.
constexpr __int128 kEndless = __int128{1} << 60;
__int128 bounded(__int128 n) { return std::clamp(n, -kEndless, kEndless); }

}  // namespace

Reach reach_of(const Argument& a) {
  Reach r;
  __int128 compact = 1;
  for (size_t d = a.shape.size(); d-- > 0;) {
    const __int128 stride = a.strides.empty() ? compact : a.strides[d];
    const __int128 last = bounded(bounded(stride) * (bounded(a.shape[d]) - 1));
    (last < 0 ? r.low : r.high) += last;
    r.elements = bounded(r.elements * std::max<int64_t>(a.shape[d], 0));
    compact = bounded(compact * std::max<int64_t>(a.shape[d], 1));
  }
  return r;
}

}  // namespace fuzz
