#include "listed.h"

#include <lathe.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace fuzz {

namespace {

nlohmann::json list_of(const char* what) {
  size_t need = 0;
  lathe_list(what, nullptr, 0, &need);
  std::string text(need, '\0');
  lathe_list(what, text.data(), text.size(), &need);
  return nlohmann::json::parse(text.c_str());
}

}  // namespace

const std::vector<Map>& maps() {
  static const std::vector<Map> all = [] {
    std::vector<Map> list;
    for (const auto& m : list_of("maps"))
      list.push_back({m.at("name"), m.at("attribute").is_null() ? "" : m.at("attribute").get<std::string>(),
                      m.at("input") == "projection", m.at("attribute_required")});
    return list;
  }();
  return all;
}
const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = [] {
    std::vector<Variant> list;
    for (const auto& v : list_of("variants")) {
      const std::vector<std::string> inputs = v.at("inputs"), options = v.at("options");
      const auto among = [](const std::vector<std::string>& roles, const char* role) {
        return std::find(roles.begin(), roles.end(), role) != roles.end();
      };
      const auto takes = [&](const char* role) { return among(inputs, role); };
      const auto may_take = [&](const char* role) { return among(options, role); };
      list.push_back({v.at("name"), takes("DECAY"), takes("GATE"), takes("BONUS"), takes("DT"), takes("BETA"),
                      takes("STEP_SIZE"), may_take("MOMENTUM_IN"), may_take("LAST_TOKEN_IN"), takes("A"),
                      v.at("gate_of_each_key")});
    }
    return list;
  }();
  return all;
}
const std::vector<std::string>& operators() {
  static const std::vector<std::string> all = list_of("ops");
  return all;
}

}  // namespace fuzz
