#include "registry.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include "rows.h"
#include "status.h"

#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) \
  extern "C" int symbol##_argv(void**);
#include "entries.inc"
#undef LATHE_ENTRY

namespace lathe {

namespace {

// FNV-1a. A plan looks for a score of kernels among hundreds: comparing names was two fifths of its making.
constexpr uint32_t digest(std::string_view row, std::string_view kernel, std::string_view axis) {
  uint32_t hash = 2166136261;
  for (const std::string_view name : {row, kernel, axis})
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return hash;
}

constexpr Entry kEntries[] = {
#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) \
  {symbol##_argv, #symbol, kernel, axis, row, chunk, key, value, rows, numbers, record},
#include "entries.inc"
#undef LATHE_ENTRY
};
// by themselves, so that a search reads a twentieth of what entries take
constexpr uint32_t kDigests[] = {
#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) digest(row, kernel, axis),
#include "entries.inc"
#undef LATHE_ENTRY
};

// The first of each run of entries of one row.
constexpr bool begins_a_row(const Entry& e) {
  return &e == kEntries || std::string_view(e.row) != std::string_view((&e - 1)->row);
}
constexpr size_t kRows = std::count_if(std::begin(kEntries), std::end(kEntries), begins_a_row);
constexpr auto kRowsBuilt = [] {
  std::array<std::string_view, kRows> rows;
  auto row = rows.begin();
  for (const Entry& e : kEntries)
    if (begins_a_row(e)) *row++ = e.row;
  return rows;
}();

}  // namespace

std::span<const Entry> registry() { return kEntries; }

const Entry* find_kernel(std::string_view row, std::string_view kernel, std::string_view axis) {
  const uint32_t wanted = digest(row, kernel, axis);
  for (const uint32_t* d = std::begin(kDigests);; d++) {
    d = std::find(d, std::end(kDigests), wanted);
    if (d == std::end(kDigests)) return nullptr;
    const Entry& e = kEntries[d - kDigests];
    if (row == e.row && kernel == e.kernel && axis == e.axis) return &e;
  }
}

const Entry* map_from(std::string_view row, const FeatureMap& map, Storage storage) {
  if (storage == Storage::kF32) return find_kernel(row, "map", map.name);
  return find_kernel(row, "map", written("{}_{}", map.name, name_of(storage)));
}

std::vector<const char*> built_rows() {
  std::vector<const char*> built;
  for (const char* row : row_names())
    if (std::find(kRowsBuilt.begin(), kRowsBuilt.end(), row) != kRowsBuilt.end()) built.push_back(row);
  return built;
}

ChosenRow choose_row(const Processor& processor, const char* pin, std::span<const char* const> built) {
  if (pin && *pin) {
    if (const std::string missing = missing_feature(processor, pin); !missing.empty())
      fail(LATHE_UNSUPPORTED, "LATHE_TARGET={}: this processor lacks {}", pin, missing);
    for (const char* row : built)
      if (std::strcmp(row, pin) == 0) return {row, "pinned by LATHE_TARGET"};
    fail(LATHE_UNSUPPORTED, "LATHE_TARGET={}: not built into this library", pin);
  }
  std::string tried;
  for (const char* row : built) {
    const std::string missing = missing_feature(processor, row);
    if (missing.empty()) return {row, "best row that this processor runs"};
    tried += written("{}{} needs {}", tried.empty() ? "" : ", ", row, missing);
  }
  fail(LATHE_UNSUPPORTED, "no row of this library runs on this processor: {}", tried);
}

ChosenRow device_row(int32_t device) {
  const char* name = device == kCuda ? "cuda" : "opencl";
  for (const char* row : built_rows())
    if (has_word(row, name)) return {row, "the row of the tensors' device"};
  fail(LATHE_UNSUPPORTED, "device type {}: this library was built without a row of {} (LATHE_TARGETS)", device, name);
}

ChosenRow choose_row() { return choose_row(this_processor(), std::getenv("LATHE_TARGET"), built_rows()); }

}  // namespace lathe
