#include "maps.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace lathe {

namespace {

constexpr auto NONE = MapInputs::kNone;
constexpr auto PROJECTION = MapInputs::kProjection;
constexpr auto STABLE_PROJECTION = MapInputs::kStableProjection;
constexpr auto POSITION = MapInputs::kPosition;
constexpr double REQUIRED = std::numeric_limits<double>::quiet_NaN();

const FeatureMap kMaps[] = {
#define LATHE_MAP(name, k, last, inputs, attribute, fallback, ...)                              \
  {#name,                                                                                       \
   [](int64_t D, int64_t M, double A) -> int64_t { return (void)D, (void)M, (void)A, (k); },    \
   [](int64_t D, int64_t M, double A) -> int64_t { return (void)D, (void)M, (void)A, (last); }, \
   inputs,                                                                                      \
   attribute,                                                                                   \
   [](int64_t D) -> double { return (void)D, (fallback); }},
#include "../generators/feature_maps.h"
#undef LATHE_MAP
};

}  // namespace

std::span<const FeatureMap> feature_maps() { return kMaps; }

const FeatureMap* find_map(const char* name) {
  for (const FeatureMap& map : kMaps)
    if (std::strcmp(map.name, name) == 0) return &map;
  return nullptr;
}

}  // namespace lathe
