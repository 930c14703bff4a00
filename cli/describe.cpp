// `lathe describe`: which kernels a call takes, and why.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <regex>

#include "call.h"
#include "table.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

struct DescribeOptions {
  What what;
  std::string shape = "B1.T4096.H8.D64.V64", dtype = "f32";
  std::vector<std::string> attributes;
  bool json = false;
};

// B1.T4096.H8.D64.V64; query heads as HQ, rows of a projection as M.
std::map<std::string, int64_t> read_shape(const std::string& text) {
  std::map<std::string, int64_t> sizes = {{"B", 1}, {"T", 1}, {"H", 1}, {"D", 0}, {"V", 0}, {"M", 0}, {"HQ", 0}};
  const std::regex part("(B|T|HQ|H|D|V|M)([0-9]{1,9})"), whole("((B|T|HQ|H|D|V|M)[0-9]{1,9}(\\.|$))+");
  if (!std::regex_match(text, whole))
    throw Failure(fmt::format("--shape {}: expected sizes joined by dots, such as B1.T4096.H8.D64.V64", text));
  for (std::sregex_iterator i(text.begin(), text.end(), part), end; i != end; ++i) sizes[(*i)[1]] = std::stoll((*i)[2]);
  if (sizes["D"] == 0) throw Failure(fmt::format("--shape {}: D, the width of a head, is missing", text));
  if (sizes["V"] == 0) sizes["V"] = sizes["D"];
  if (sizes["HQ"] == 0) sizes["HQ"] = sizes["H"];
  return sizes;
}

std::pair<std::string, double> read_attribute(const std::string& text) {
  const size_t equals = text.find('=');
  double value = 0;
  if (equals == std::string::npos || !CLI::detail::lexical_cast(text.substr(equals + 1), value))
    throw Failure(fmt::format("--attribute {}: expected a name and a number, such as max_length=4096", text));
  return {text.substr(0, equals), value};
}

bool takes_a(const std::string& map, const char* input) {
  for (const auto& m : list_of("maps"))
    if (m.at("name") == map) return m.at("input") == input;
  return false;
}

nlohmann::json variant_of(const std::string& name) {
  for (const auto& v : list_of("variants"))
    if (v.at("name") == name) return v;
  return {{"inputs", nlohmann::json::array()}, {"options", nlohmann::json::array()}, {"gate_of_each_key", false}};
}

Arguments arguments_of(const DescribeOptions& options) {
  auto s = read_shape(options.shape);
  const std::string& op = options.what.op;
  const int64_t batch = s["B"], tokens = s["T"], heads = s["H"];
  const bool projected = takes_a(options.what.map, "projection");
  const int64_t rows = s["M"] ? s["M"] : s["D"];
  std::vector<lathe_attr> attributes;
  for (const auto& [name, value] : options.what.attributes) attributes.push_back({name.c_str(), value});
  int64_t width = 0;
  if (lathe_map_width(options.what.map.c_str(), s["D"], projected ? rows : 0, attributes.data(), attributes.size(),
                      &width) != LATHE_OK)
    throw Failure(lathe_last_error(nullptr));
  Arguments args;
  if (op != "accumulate") args.add(LATHE_Q, nullptr, {batch, tokens, s["HQ"], s["D"]}, options.dtype);
  if (op != "readout") args.add(LATHE_K, nullptr, {batch, tokens, heads, s["D"]}, options.dtype);
  if (op != "readout") args.add(LATHE_V, nullptr, {batch, tokens, heads, s["V"]}, options.dtype);
  if (op != "accumulate") args.add(LATHE_O, nullptr, {batch, tokens, s["HQ"], s["V"]}, options.dtype);
  const bool reads = op == "readout" || op == "decode", writes = op == "accumulate" || op == "decode";
  const auto variant = variant_of(options.what.variant);
  const auto among = [&variant](const char* list, const char* role) {
    const auto& roles = variant.at(list);
    return std::find(roles.begin(), roles.end(), role) != roles.end();
  };
  const auto brings = [&](const char* role) { return among("inputs", role); };
  for (const auto& [used, state, momentum, last, z] :
       {std::tuple{reads, LATHE_STATE_IN, LATHE_MOMENTUM_IN, LATHE_LAST_TOKEN_IN, LATHE_Z_IN},
        std::tuple{writes, LATHE_STATE_OUT, LATHE_MOMENTUM_OUT, LATHE_LAST_TOKEN_OUT, LATHE_Z_OUT}}) {
    if (!used) continue;
    args.add(state, nullptr, {batch, heads, width, s["V"]}, "f32");
    if (among("options", "MOMENTUM_IN")) args.add(momentum, nullptr, {batch, heads, width, s["V"]}, "f32");
    if (among("options", "LAST_TOKEN_IN")) args.add(last, nullptr, {batch, heads, width + s["V"]}, "f32");
    if (options.what.normalise) args.add(z, nullptr, {batch, heads, width}, "f32");
  }
  const std::vector<int64_t> of_heads = {heads}, of_keys = {heads, width}, of_tokens = {batch, tokens, heads},
                             of_rows = {batch, tokens, heads, width};
  for (const auto& [name, role, shape] : {std::tuple{"DECAY", LATHE_DECAY, of_heads},
                                          {"STEP_SIZE", LATHE_STEP_SIZE, of_heads},
                                          {"BONUS", LATHE_BONUS, of_keys},
                                          {"DT", LATHE_DT, of_tokens},
                                          {"BETA", LATHE_BETA, of_tokens},
                                          {"GATE", LATHE_GATE, variant.at("gate_of_each_key") ? of_rows : of_tokens},
                                          {"A", LATHE_A, of_rows},
                                          {"B", LATHE_B, of_rows}})
    if (brings(name)) args.add(role, nullptr, shape, shape.size() > 2 ? options.dtype : "f32");
  if (projected) args.add(LATHE_PROJECTION, nullptr, {rows, s["D"]}, "f32");
  return args;
}

void run(DescribeOptions& options) {
  for (const std::string& text : options.attributes) options.what.attributes.push_back(read_attribute(text));
  const Call call(options.what, arguments_of(options), 0);
  const nlohmann::json said = call.describe();
  if (options.json) {
    fmt::print("{}\n", said.dump(2));
    return;
  }
  const auto word = [&](const char* key) { return said.at(key).get<std::string>(); };
  fmt::print("{} {} {}{} on {} of {}\n", bold(word("op")), word("variant"), word("map"),
             options.what.normalise ? " normalised" : "", options.dtype, options.shape);
  fmt::print("  target   {}: {}\n", green(word("target")), word("why"));
  fmt::print("  record   {}\n", word("record"));
  fmt::print("  chunk    {} tokens; K = {} after the map\n", said.at("chunk").get<int>(), said.at("K").get<int64_t>());
  fmt::print("  threads  {}\n", said.at("threads").get<int>());
  Table table({"kernel", "numbers", "record"});
  for (const auto& k : said.at("kernels")) table.add({k.at("name"), k.at("numbers"), k.at("record")});
  fmt::print("{}", table.text());
}

}  // namespace

void add_describe(CLI::App& program) {
  auto options = std::make_shared<DescribeOptions>();
  CLI::App* verb = program.add_subcommand("describe", "which kernels a call takes, and why");
  verb->add_option("--op", options->what.op, "an operator (lathe list ops)")->required();
  verb->add_option("--variant", options->what.variant, "a variant (lathe list variants)")->capture_default_str();
  verb->add_option("--map", options->what.map, "a feature map (lathe list maps)")->capture_default_str();
  verb->add_option("--shape", options->shape, "B, T, H, D, V; HQ query heads, M rows of a projection")
      ->capture_default_str();
  verb->add_option("--dtype", options->dtype, "of q, k, v and the output")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  verb->add_option("--attribute", options->attributes, "of the map, such as max_length=4096")->allow_extra_args(false);
  verb->add_flag("--normalise", options->what.normalise, "with the normaliser");
  verb->add_flag("--json", options->json, "as JSON");
  verb->callback([options] { run(*options); });
}

}  // namespace lathe::cli
