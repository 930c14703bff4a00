#include "describe.h"

#include <algorithm>
#include <cmath>

#include "maps.h"
#include "operators.h"
#include "registry.h"
#include "rows.h"
#include "status.h"
#include "tensor.h"
#include "variants.h"

namespace lathe {

namespace {

template <typename Range, typename Item, typename Keep>
std::string array(const Range& range, Item item, Keep keep) {
  std::string text;
  for (const auto& element : range)
    if (keep(element)) text += written("{}{}", text.empty() ? "" : ", ", item(element));
  return "[" + text + "]";
}
template <typename Range, typename Item>
std::string array(const Range& range, Item item) {
  return array(range, item, [](const auto&) { return true; });
}

std::string map_item(const FeatureMap& m) {
  constexpr const char* inputs[] = {"none", "projection", "projection", "position"};
  const bool required = std::isnan(m.fallback(1));
  return written("{{\"name\": \"{}\", \"input\": \"{}\", \"attribute\": {}, \"attribute_required\": {}}}", m.name,
                 inputs[static_cast<int>(m.inputs)],
                 *m.attribute ? written("\"{}\"", m.attribute) : std::string("null"), required);
}

std::string role_names(uint64_t roles) {
  std::string names;
  for (uint32_t role = 0; role < kRoles; role++)
    if (roles >> role & 1) names += written("{}\"{}\"", names.empty() ? "" : ", ", find_role(role)->name);
  return names;
}

std::string variant_item(const Variant& v) {
  return written("{{\"name\": \"{}\", \"inputs\": [{}], \"options\": [{}], \"gate_of_each_key\": {}}}", v.name,
                 role_names(v.inputs), role_names(v.options()), v.keyed());
}

std::string target_item(const char* row) {
  int kernels = 0;
  for (const Entry& e : registry()) kernels += std::string_view(e.row) == row;
  const std::string missing = missing_feature(this_processor(), row);
  return written("{{\"name\": \"{}\", \"kernels\": {}, \"runs\": {}, \"missing\": {}}}", row, kernels, missing.empty(),
                 missing.empty() ? "null" : written("\"{}\"", missing));
}

std::string kernel_item(const Entry& e) {
  return written(
      "{{\"name\": \"{}\", \"kernel\": \"{}\", \"instance\": \"{}\", \"target\": \"{}\", \"chunk\": {}, \"numbers\": "
      "\"{}\", \"record\": \"{}\"}}",
      e.symbol, e.kernel, e.axis, e.row, e.chunk, e.numbers, e.record);
}

bool has_kernel(std::string_view kernel, std::string_view axis) {
  return std::ranges::any_of(registry(), [&](const Entry& e) { return kernel == e.kernel && axis == e.axis; });
}
bool built(const FeatureMap& map) { return has_kernel("map", map.name); }

constexpr Storage kStorages[] = {Storage::kF32, Storage::kF16, Storage::kBF16};
// float32 needs none
bool has_kernels(Storage s) {
  return s == Storage::kF32 || has_kernel("widen", name_of(s)) || has_kernel("narrow", name_of(s));
}

std::string quoted(const char* text) { return written("\"{}\"", text); }

}  // namespace

std::string list(const std::string& what) {
  if (what == "ops")
    return array(
        operators(), [](const Operator& o) { return quoted(o.name); }, [](const Operator& o) { return o.built(); });
  if (what == "variants") return array(variants(), variant_item);
  if (what == "maps") return array(feature_maps(), map_item, built);
  if (what == "dtypes")
    return array(
        kStorages, [](Storage s) { return quoted(name_of(s)); }, has_kernels);
  if (what == "targets") return array(row_names(), target_item);
  if (what == "kernels") return array(registry(), kernel_item);
  fail(LATHE_INVALID, "what: expected ops, variants, maps, dtypes, targets or kernels, got \"{}\"", what);
}

}  // namespace lathe
