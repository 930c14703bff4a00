// Records: whole configurations with their evidence, one file per row, schedules/records/<row>.json.
#pragma once

#include <string>
#include <vector>

#include "../generators/instance.h"
#include "knobs.h"
#include "targets.h"

namespace lathe::gen {

struct Choice {
  Numbers numbers;
  std::string source;  // "avx512/sapphirerapids", "avx512/generic", ... or "defaults"
};

// The numbers of a kernel's instance on a row, under "kernel:axis" or, for all of its instances, "kernel": the record
// of this micro-architecture, else the row's generic one, else those of the rows it falls back to, else the defaults;
// then what `set` ("knob=value") says. Throws std::invalid_argument naming the file and what is wrong with it.
Choice choose(const std::string& directory, const Row& row, const std::string& kernel, const std::string& axis,
              const std::string& tune_for, const Space& space, const std::vector<std::string>& set);

// A whole file: its schema, its row, and for every instance there is the numbers it would be given. Throws as choose()
// does.
void check_record(const std::string& path, const std::vector<Instance>& instances);

}  // namespace lathe::gen
