#include "registry.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "processor.h"
#include "status.h"

#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) \
  extern "C" int symbol##_argv(void**);
#include "entries.inc"
#undef LATHE_ENTRY

namespace lathe {

namespace {

constexpr Entry kEntries[] = {
#define LATHE_ENTRY(symbol, kernel, axis, row, chunk, key, value, rows, numbers, record) \
  {symbol##_argv, #symbol, kernel, axis, row, chunk, key, value, rows, numbers, record},
#include "entries.inc"
#undef LATHE_ENTRY
};

bool built(const char* row) {
  for (const Entry& e : kEntries)
    if (std::strcmp(e.row, row) == 0) return true;
  return false;
}

}  // namespace

std::span<const Entry> registry() { return kEntries; }

const Entry* find_kernel(std::string_view row, std::string_view kernel, std::string_view axis) {
  for (const Entry& e : kEntries)
    if (row == e.row && kernel == e.kernel && axis == e.axis) return &e;
  return nullptr;
}

ChosenRow choose_row() {
  if (const char* pinned = std::getenv("LATHE_TARGET"); pinned && *pinned) {
    if (const char* missing = missing_feature(pinned))
      fail(LATHE_UNSUPPORTED, "LATHE_TARGET={}: this processor lacks {}", pinned, missing);
    for (const Entry& e : kEntries)
      if (std::strcmp(e.row, pinned) == 0) return {e.row, "pinned by LATHE_TARGET"};
    fail(LATHE_UNSUPPORTED, "LATHE_TARGET={}: not built into this library", pinned);
  }
  std::string tried;
  for (const char* row : row_names()) {
    if (!built(row)) continue;
    const char* missing = missing_feature(row);
    if (!missing) return {row, "best row that this processor runs"};
    tried += fmt::format("{}{} needs {}", tried.empty() ? "" : ", ", row, missing);
  }
  fail(LATHE_UNSUPPORTED, "no row of this library runs on this processor: {}", tried);
}

}  // namespace lathe
