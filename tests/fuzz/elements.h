// The elements that shape and strides of a tensor reach.
#pragma once

#include <algorithm>
#include <vector>

#include "drawn_call.h"

namespace fuzz {

struct Reach {
  __int128 low = 0, high = 0;  // offsets of the outermost elements
  __int128 elements = 1;
};
Reach reach_of(const Argument& a);

template <typename Visit>
void each_element(const Argument& a, Visit visit) {
  std::vector<int64_t> index(a.shape.size(), 0), strides = a.strides;
  if (strides.empty()) {
    strides.assign(a.shape.size(), 1);
    for (size_t d = a.shape.size(); d-- > 1;) strides[d - 1] = strides[d] * a.shape[d];
  }
  const auto n = static_cast<int64_t>(reach_of(a).elements);
  for (int64_t i = 0; i < n; i++) {
    int64_t offset = 0;
    for (size_t d = 0; d < index.size(); d++) offset += index[d] * strides[d];
    visit(i, offset);
    for (size_t d = index.size(); d-- > 0 && ++index[d] == a.shape[d];) index[d] = 0;
  }
}

inline size_t element_bytes(const lathe_tensor& t) { return static_cast<size_t>(t.bits) * t.lanes / 8; }

}  // namespace fuzz
