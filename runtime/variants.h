// What the library knows of a variant: the rows of generators/variants.h.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lathe {

struct Variant {
  const char *name, *transition;
  double (*log_decay)(double g, int64_t h, int64_t H);
  uint64_t inputs;  // bits 1 << role
  bool decays() const { return std::string_view(transition) != "plain"; }
};

std::span<const Variant> variants();
const Variant* find_variant(std::string_view name);

}  // namespace lathe
