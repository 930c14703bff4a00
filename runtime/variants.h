// What the library knows of a variant: the rows of generators/variants.h.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "lathe.h"
#include "tensor.h"

namespace lathe {

// What a variant's formula reads of the tokens of one head.
struct Gates {
  Strided g;     // the head's DECAY, for each token again, or the tokens' GATE
  int64_t h, H;  // the head, and how many there are
};

struct Variant {
  const char *name, *transition;
  void (*log_decays)(const Gates& gates, int64_t n, float* out);  // of n tokens
  uint64_t inputs;                                                // bits 1 << role
  bool decays() const { return std::string_view(transition) != "plain"; }
  bool reads_before() const { return (inputs >> LATHE_BONUS & 1) != 0; }  // a query reads the state before its token
  bool has_gradient() const { return !keyed() && !reads_before(); }
  bool keyed() const { return std::string_view(transition) == "gate_key"; }  // a gate for each key dimension
};

std::span<const Variant> variants();
const Variant* find_variant(std::string_view name);

}  // namespace lathe
