// `lathe tune list` and `lathe tune space KERNEL`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "../../cli/table.h"
#include "request.h"

namespace lathe::tune {

int command_list(const Request& request) {
  const Tools tools = tools_of(request);
  cli::Table table({"kernel", "measured as", "configurations", "raw", "knobs"});
  for (const Instance& instance : instances(false, row_of(request))) {
    const Space space = list_space(tools, instance.kernel, instance.axis, row_of(request));
    std::vector<std::string> names;
    for (const Knob& knob : space.knobs) names.push_back(knob.name);
    table.add({instance.kernel, instance.name(), std::to_string(space.points.size()), std::to_string(space.raw),
               fmt::format("{}{}", fmt::join(names, " "), space.tunable() ? "" : " (nothing to tune)")});
  }
  fmt::print("{}", table.text());
  return 0;
}

int command_space(const Request& request) {
  const Tools tools = tools_of(request);
  for (const std::string& name : request.kernels) {
    const Instance instance = find_instance(name, row_of(request));
    const Space space = list_space(tools, instance.kernel, instance.axis, row_of(request));
    if (request.json) {
      nlohmann::json rejected = nlohmann::json::object();
      for (const auto& [text, count] : space.rejected) rejected[text] = count;
      fmt::print("{}\n", nlohmann::json{{"kernel", space.name()},
                                        {"row", space.row},
                                        {"raw", space.raw},
                                        {"valid", space.points.size()},
                                        {"rejected", rejected}}
                             .dump());
      continue;
    }
    fmt::print("{} on {}: {} of {} configurations are legal\n", cli::bold(space.name()), space.row, space.points.size(),
               space.raw);
    cli::Table knobs({"knob", "default", "record", "values", "meaning"});
    for (size_t k = 0; k < space.knobs.size(); k++) {
      const Knob& knob = space.knobs[k];
      knobs.add({knob.name, std::to_string(knob.fallback), std::to_string(space.record[k]),
                 fmt::format("{}", fmt::join(knob.legal, " ")),
                 knob.meaning + (knob.numerics ? "; changes bits" : "")});
    }
    fmt::print("{}", knobs.text());
    cli::Table rejected({"rejected", "because not"});
    for (const auto& [text, count] : space.rejected) rejected.add({std::to_string(count), text});
    fmt::print("{}", rejected.text());
  }
  return 0;
}

}  // namespace lathe::tune
