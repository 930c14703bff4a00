// What the library knows of a feature map: the rows of generators/feature_maps.h, without their formulas.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lathe {

enum class MapInputs { kNone, kProjection, kStableProjection, kPosition };

struct FeatureMap {
  const char* name;
  int64_t (*width)(int64_t d, int64_t m, double attribute);  // K
  int64_t (*last)(int64_t d, int64_t m, double attribute);   // width of the last part
  MapInputs inputs;
  const char* attribute;          // its name in lathe_attr; empty where the map has none
  double (*fallback)(int64_t d);  // NaN: the caller must give it
  bool identity() const { return std::string_view(name) == "identity"; }
  bool projects() const { return inputs == MapInputs::kProjection || stabilises(); }
  bool stabilises() const { return inputs == MapInputs::kStableProjection; }
};

std::span<const FeatureMap> feature_maps();
const FeatureMap* find_map(const char* name);

}  // namespace lathe
