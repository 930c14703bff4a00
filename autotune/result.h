// A sweep's result as the file that `lathe tune apply` and the report read, evidence and all.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sweep.h"

namespace lathe::tune {

struct Circumstances {
  std::string record_key;  // under which a record holds it
  std::string uarch, fidelity, problem, generator, command, date;
  nlohmann::json machine;
  std::vector<Shape> shapes;
  StrategyOptions strategy;
  bool verified = true;  // candidates ran and answered rightly
};

nlohmann::json as_json(const Result& result, const Space& space, const Circumstances& circumstances);
// The date of now, in UTC; $SOURCE_DATE_EPOCH stands in for now.
std::string date_now();

}  // namespace lathe::tune
