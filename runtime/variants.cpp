#include "variants.h"

#include <algorithm>
#include <cmath>

namespace lathe {

namespace {

constexpr uint64_t NONE = 0;
constexpr uint64_t DECAY = bits({LATHE_DECAY});
constexpr uint64_t GATE = bits({LATHE_GATE});
constexpr uint64_t DT = bits({LATHE_DT});
constexpr uint64_t BETA = bits({LATHE_BETA});
constexpr uint64_t A = bits({LATHE_A});
constexpr uint64_t B = bits({LATHE_B});
constexpr uint64_t BONUS = bits({LATHE_BONUS});
constexpr uint64_t STEP_SIZE = bits({LATHE_STEP_SIZE});

// One for each token where it may differ from token to token, else the first for all of them.
template <typename Formula>
void fill(const Gates& gates, int64_t n, float* out, Formula formula) {
  const int64_t different = gates.g.stride == 0 && gates.dt.stride == 0 ? std::min<int64_t>(n, 1) : n;
  for (int64_t i = 0; i < different; i++) out[i] = static_cast<float>(formula(gates.g[i], gates.dt[i]));
  std::fill(out + different, out + n, different > 0 ? out[0] : 0.f);
}

const Variant kVariants[] = {
#define LATHE_VARIANT(name, transition, log_decay, inputs)                           \
  {#name, #transition,                                                               \
   [](const Gates& gates, int64_t n, float* out) {                                   \
     fill(gates, n, out, [h = gates.h, H = gates.H](double g, double dt) -> double { \
       return (void)g, (void)dt, (void)h, (void)H, log_decay;                        \
     });                                                                             \
   },                                                                                \
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
