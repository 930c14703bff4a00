#include "feature_formula.h"

#include <stdexcept>
#include <string>

namespace lathe::gen {

namespace {

enum Inputs { NONE, PROJECTION, STABLE_PROJECTION, POSITION };

// The formulas of feature_maps.h are members of the words they are written in.
struct Formulas : Words {
  explicit Formulas(const Words& words) : Words(words) {}
#define LATHE_MAP(name, k, last, inputs, attribute, fallback, ...) \
  Formula map_##name() const { return __VA_ARGS__; }
#include "feature_maps.h"
#undef LATHE_MAP
};

struct Row {
  const char* name;
  Inputs inputs;
  Formula (Formulas::*formula)() const;
};
const Row rows[] = {
#define LATHE_MAP(name, k, last, inputs, attribute, fallback, ...) {#name, inputs, &Formulas::map_##name},
#include "feature_maps.h"
#undef LATHE_MAP
};

const Row& find(const std::string& map) {
  for (const Row& row : rows)
    if (row.name == map) return row;
  throw std::invalid_argument("unknown feature map '" + map + "'");
}

}  // namespace

Formula formula(const std::string& map, const Words& words) { return (Formulas(words).*find(map).formula)(); }
bool projects(const std::string& map) { return find(map).inputs == PROJECTION || stabilises(map); }
bool stabilises(const std::string& map) { return find(map).inputs == STABLE_PROJECTION; }

}  // namespace lathe::gen
