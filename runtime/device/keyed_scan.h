// The causal scan on a device where each key dimension has a gate, and nothing is normalised: all chunks of all
// sequences at once, but for the sum of what they add.
#pragma once

#include "keyed_chunks.h"

namespace lathe {

class KeyedScan : public KeyedChunks {
 public:
  using KeyedChunks::KeyedChunks;
  static bool takes(const Meaning& meaning) {
    const Variant& v = *meaning.variant;
    return meaning.op->op == Op::kCausal && v.keyed() && !v.corrects() && !v.rank_one() && !meaning.normalise();
  }
  void run();
};

}  // namespace lathe
