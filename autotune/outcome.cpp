#include "outcome.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <stdexcept>

namespace lathe::tune {

namespace {

constexpr std::array kNames = {
#define LATHE_REASON(name) #name,
    LATHE_REASONS(LATHE_REASON)
#undef LATHE_REASON
};

struct Field {
  const char* name;
  double Outcome::*value;
};
constexpr Field kFields[] = {{"ratio", &Outcome::ratio},
                             {"low", &Outcome::low},
                             {"high", &Outcome::high},
                             {"ns", &Outcome::ns},
                             {"ns_incumbent", &Outcome::ns_incumbent},
                             {"cost", &Outcome::cost},
                             {"worst", &Outcome::worst},
                             {"compile_seconds", &Outcome::compile_seconds},
                             {"run_seconds", &Outcome::run_seconds}};

}  // namespace

const char* name_of(Reason reason) { return kNames[static_cast<size_t>(reason)]; }

Reason reason_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); i++)
    if (name == kNames[i]) return static_cast<Reason>(i);
  throw std::invalid_argument(fmt::format("'{}' is no reason: expected one of {}", name, fmt::join(kNames, ", ")));
}

void to_json(nlohmann::json& json, const Outcome& outcome) {
  json = {{"reason", name_of(outcome.reason)}};
  if (!outcome.detail.empty()) json["detail"] = outcome.detail;
  if (!outcome.same_code.empty()) json["same_code"] = outcome.same_code;
  for (const Field& field : kFields)
    if (outcome.*field.value != 0) json[field.name] = outcome.*field.value;
  if (outcome.pairs == 0) return;
  json["pairs"] = outcome.pairs;
  json["fast"] = outcome.fast;
  json["conclusive"] = outcome.conclusive;
}

void from_json(const nlohmann::json& json, Outcome& outcome) {
  outcome = {};
  outcome.reason = reason_of(json.at("reason").get<std::string>());
  outcome.detail = json.value("detail", "");
  outcome.same_code = json.value("same_code", "");
  for (const Field& field : kFields) outcome.*field.value = json.value(field.name, 0.0);
  outcome.pairs = json.value("pairs", 0);
  outcome.fast = json.value("fast", 0);
  outcome.conclusive = json.value("conclusive", false);
}

}  // namespace lathe::tune
