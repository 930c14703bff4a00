#include "variants.h"

#include <cmath>

#include "operators.h"

namespace lathe {

namespace {

constexpr uint64_t NONE = 0;
constexpr uint64_t DECAY = bits({LATHE_DECAY});

const Variant kVariants[] = {
#define LATHE_VARIANT(name, transition, log_decay, inputs)                                                            \
  {#name, #transition, [](double g, int64_t h, int64_t H) -> double { return (void)g, (void)h, (void)H, log_decay; }, \
   inputs},
#include "../generators/variants.h"
#undef LATHE_VARIANT
};

}  // namespace

std::span<const Variant> variants() { return kVariants; }

const Variant* find_variant(std::string_view name) {
  for (const Variant& variant : kVariants)
    if (name == variant.name) return &variant;
  return nullptr;
}

}  // namespace lathe
