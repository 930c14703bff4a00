#include "space.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "hash.h"

namespace lathe::tune {

Pin parse_pin(const std::string& text) {
  static const std::regex kPin(R"((\w+)=(any|\d{1,6}(?:,\d{1,6})*))");
  std::smatch words;
  if (!std::regex_match(text, words, kPin))
    throw std::invalid_argument(fmt::format("--pin {}: expected knob=value, knob=value,value or knob=any", text));
  Pin pin{words[1], {}};
  std::istringstream values(words[2]);
  for (std::string value; words[2] != "any" && std::getline(values, value, ',');)
    pin.values.push_back(std::stoi(value));
  return pin;
}

Space::Space(const nlohmann::json& from)
    : kernel(from.at("kernel")),
      axis(from.at("axis")),
      row(from.at("row")),
      target(from.at("target")),
      halide(from.at("halide")),
      record_source(from.at("record").at("source")),
      points(from.at("points").get<std::vector<Point>>()),
      raw(from.at("raw")),
      arguments(from.at("arguments")),
      record(from.at("record").at("point").get<Point>()),
      listed(from) {
  for (const auto& knob : from.at("knobs")) {
    knobs.push_back({knob.at("name"), knob.at("meaning"), knob.at("default"), knob.at("legal"), knob.at("numerics")});
    fallback.push_back(knobs.back().fallback);
  }
  for (const auto& constraint : from.at("constraints"))
    rejected.emplace_back(constraint.at("text"), constraint.at("rejected"));
  reindex();
  // of what can be chosen, not of how it came to be: a record changes neither points nor their names
  hash_ = tune::hash(fmt::format("{}|{}|{}|{}|{}", kernel, axis, target, from.at("knobs").dump(), points));
}

std::string Space::name() const { return axis.empty() ? kernel : kernel + ":" + axis; }

std::string Space::text(const Point& point) const {
  std::string words;
  for (size_t i = 0; i < knobs.size(); i++)
    words += fmt::format("{}{}={}", words.empty() ? "" : " ", knobs[i].name, point[i]);
  return words;
}

Point Space::parse(const std::string& text) const {
  Point point = fallback;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    const auto at = knob(word.substr(0, equals));
    if (equals == std::string::npos || !at)
      throw std::invalid_argument(fmt::format("'{}': expected knob=value with a knob of {}", word, name()));
    point[*at] = std::stoi(word.substr(equals + 1));
  }
  return point;
}

std::map<std::string, int> Space::numbers(const Point& point) const {
  std::map<std::string, int> all;
  for (size_t i = 0; i < knobs.size(); i++) all[knobs[i].name] = point[i];
  return all;
}

std::optional<size_t> Space::knob(const std::string& name) const {
  for (size_t i = 0; i < knobs.size(); i++)
    if (knobs[i].name == name) return i;
  return std::nullopt;
}

std::string Space::id(const Point& point) const { return hex(tune::hash(text(point), hash_)); }

void Space::pin(const Pin& pin) {
  const auto at = knob(pin.knob);
  if (!at) throw std::invalid_argument(fmt::format("--pin {}: {} has no such knob", pin.knob, name()));
  if (pin.values.empty()) return;
  std::erase_if(points, [&](const Point& point) {
    return std::find(pin.values.begin(), pin.values.end(), point[*at]) == pin.values.end();
  });
  if (points.empty())
    throw std::invalid_argument(fmt::format("--pin {}={}: no configuration of {} has it; expected some of {}", pin.knob,
                                            fmt::join(pin.values, ","), name(), fmt::join(knobs[*at].legal, ", ")));
  reindex();
}

void Space::reindex() {
  index_.clear();
  for (size_t i = 0; i < points.size(); i++) index_[points[i]] = i;
}

bool Space::tunable() const {
  return std::any_of(knobs.begin(), knobs.end(), [](const Knob& k) { return !k.numerics && k.legal.size() > 1; });
}

}  // namespace lathe::tune
