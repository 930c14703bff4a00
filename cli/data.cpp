// The demo's results as JSON, and the words that page and terminal share.
#include <fmt/format.h>

#include "page.h"

namespace lathe::cli {

namespace {

using Json = nlohmann::json;

Json data_of(const Curve& curve, const char* x) {
  Json points = Json::array();
  for (const Point& point : curve.points) points.push_back({{x, point.x}, {"seconds", point.seconds}});
  return {{"points", points}, {"stopped", curve.stopped}};
}

Json data_of(const Headline& headline) {
  Json generations = Json::array();
  for (const Generation& g : headline.generations) {
    Json one = {{"positions", g.length}, {"lathe_seconds", g.lathe_seconds}};
    for (const auto& [name, curve] :
         {std::pair{"softmax_cached", &g.cached}, std::pair{"softmax_stateless", &g.stateless}}) {
      if (curve->points.empty()) continue;
      one[name] = data_of(*curve, "position");
      one[name]["seconds_integrated"] = integrated(*curve, g.length);
    }
    generations.push_back(one);
  }
  return {{"heads", kHeadlineHeads},
          {"width", kHeadlineWidth},
          {"generation", generations},
          {"lathe_causal", data_of(headline.sweep, "tokens")},
          {"softmax_causal", data_of(headline.softmax, "tokens")},
          {"softmax_unmasked", data_of(headline.unmasked, "tokens")},
          {"rival", headline.rival},
          {"no_rival", headline.no_rival}};
}

}  // namespace

Json as_data(const Demo& demo) {
  const Reading& r = demo.reading;
  Json calls = Json::array();
  for (const auto* list : {&demo.reading.calls, &demo.headline.calls})
    for (const Timed& timed : *list) calls.push_back(to_json(timed));
  return {{"date", demo.date},
          {"machine", demo.machine},
          {"text", {{"name", demo.text.name}, {"bytes", demo.text.bytes.size()}, {"whole", demo.text.whole}}},
          {"memory",
           {{"how", memory_in_words()},
            {"order0_bits_per_byte", r.order0},
            {"head_bits_per_byte", r.heads},
            {"mixture_bits_per_byte", r.mixture},
            {"mixture_so_far", r.so_far},
            {"one_byte_head", {{"readouts", r.readouts}, {"differ_from_counts", r.wrong_counts}}},
            {"continuation", printable(r.continuation)},
            {"decode_minus_parallel", r.decode_difference},
            {"seconds_reading", r.seconds_reading},
            {"seconds_writing", r.seconds_writing}}},
          {"headline", data_of(demo.headline)},
          {"calls", calls}};
}

std::string printable(const std::string& bytes) {
  std::string text;
  for (char c : bytes) text += c == '\n' || (c >= ' ' && c <= '~') ? std::string(1, c) : "·";
  return text;
}

std::string memory_in_words() {
  return fmt::format(
      "Head h counts what follows each context of h bytes: head 1 in one slot a byte, the others in {} slots that "
      "contexts are hashed into and may share. A head's probability of a byte is (its count + {}) / (all its counts + "
      "{:g}). The mixture's weights are learned online by expectation maximisation (times {} whenever they are used), "
      "one "
      "set for each pattern of how much the heads have seen.",
      kHashedSlots, kSmoothing, kBytes * kSmoothing, kForget);
}

}  // namespace lathe::cli
