// `lathe list`: what this library holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <set>

#include "call.h"
#include "table.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

using Json = nlohmann::json;

void print_words(const std::string& what, const Json& list) {
  fmt::print("{}\n ", bold(what));
  for (const auto& word : list) fmt::print(" {}", word.get<std::string>());
  fmt::print("\n");
}

void print_variants(const Json& list) {
  Table table({"variant", "takes"});
  for (const auto& variant : list)
    table.add(
        {variant.at("name"), fmt::format("{}", fmt::join(variant.at("inputs").get<std::vector<std::string>>(), " "))});
  fmt::print("{}\n{}", bold("variants"), table.text());
}

void print_maps(const Json& list) {
  Table table({"map", "takes", "attribute"});
  for (const auto& map : list) {
    const std::string input = map.at("input"), attribute = map.at("attribute").is_null() ? "" : map.at("attribute");
    const bool required = map.at("attribute_required");
    table.add({map.at("name"), input == "none" ? "" : "a " + input, attribute + (required ? ", required" : "")});
  }
  fmt::print("{}\n{}", bold("maps"), table.text());
}

void print_targets(const Json& list) {
  Table table({"target", "kernels", "here"});
  for (const auto& row : list) {
    const std::string state = row.at("runs") ? "runs" : fmt::format("lacks {}", row.at("missing").get<std::string>());
    const int kernels = row.at("kernels");
    table.add({row.at("name"), std::to_string(kernels), kernels == 0 ? state + ", not built" : state});
  }
  fmt::print("{}\n{}", bold("targets"), table.text());
}

void print_kernels(const Json& list) {
  Table table({"kernel", "instance", "target", "numbers", "record"});
  for (const auto& k : list)
    table.add({k.at("kernel"), k.at("instance"), k.at("target"), k.at("numbers"), k.at("record")});
  fmt::print("{}\n{}", bold("kernels"), table.text());
}

void print(const std::string& what) {
  const Json list = list_of(what);
  if (what == "variants") return print_variants(list);
  if (what == "maps") return print_maps(list);
  if (what == "targets") return print_targets(list);
  if (what == "kernels") return print_kernels(list);
  print_words(what, list);
}

struct ListOptions {
  std::string what;
  bool json = false;
};

void run(const ListOptions& options) {
  if (options.json) {
    Json all;
    for (const char* what : {"ops", "variants", "maps", "dtypes", "targets", "kernels"})
      if (options.what.empty() || options.what == what) all[what] = list_of(what);
    fmt::print("{}\n", (options.what.empty() ? all : all.at(options.what)).dump(2));
    return;
  }
  if (!options.what.empty()) return print(options.what);
  for (const char* what : {"ops", "variants", "dtypes", "maps", "targets"}) print(what);
  fmt::print("{}\n", faint("lathe list kernels: every kernel with its numbers"));
}

}  // namespace

void add_list(CLI::App& program) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* verb = program.add_subcommand("list", "operators, feature maps, rows, kernels");
  verb->add_option("what", options->what, "one list only")
      ->check(CLI::IsMember({"ops", "variants", "maps", "dtypes", "targets", "kernels"}));
  verb->add_flag("--json", options->json, "as JSON");
  verb->callback([options] { run(*options); });
}

}  // namespace lathe::cli
