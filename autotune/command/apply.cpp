// `lathe tune apply DIR ...`: results of sweeps become records.
#include <fmt/format.h>

#include <fstream>

#include "../../cli/verbs.h"
#include "../configuration.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

void apply_result(const fs::path& file, const fs::path& records) {
  std::ifstream in(file);
  const Json result = Json::parse(in);
  const std::string finding = result.at("finding"), key = result.at("key"), uarch = result.at("uarch");
  if (finding != "improved" && finding != "confirmed") {
    fmt::print("{}: {}; nothing to take\n", key, finding);
    return;
  }
  RecordFile record(records, result.at("row"));
  Configuration& configuration = record.of(uarch, result.at("chunk"));
  if (configuration.chunk != result.at("chunk"))
    throw std::invalid_argument(
        fmt::format("{}: {} was tuned for a chunk of {}, the record of {} has {}; a row has one chunk: "
                    "lathe tune --all chooses it",
                    file.string(), key, result.at("chunk").get<int>(), uarch, configuration.chunk));
  configuration.kernels[key] = {{"params", result.at("params")}, {"evidence", result.at("evidence")}};
  record.write();
  fmt::print("{}: {} for {}\n", record.path().string(), key, uarch);
}

// A whole configuration, of `lathe tune --all`.
void apply_record(const fs::path& file, const fs::path& records) {
  std::ifstream in(file);
  const Json json = Json::parse(in);
  const RecordFile fresh(file.parent_path(), json.at("row"));
  RecordFile record(records, json.at("row"));
  for (const Json& c : json.at("configurations")) {
    const std::string uarch = c.at("uarch");
    record.of(uarch, c.at("chunk")) = *fresh.find(uarch);
    fmt::print("{}: the configuration of {}\n", record.path().string(), uarch);
  }
  record.write();
}

}  // namespace

int command_apply(const Request& request) {
  const fs::path records = request.records.empty() ? cli::source_tree() + "/schedules/records" : request.records;
  for (const std::string& path : request.paths) {
    if (fs::exists(fs::path(path) / "result.json")) {
      apply_result(fs::path(path) / "result.json", records);
      continue;
    }
    bool found = false;
    std::error_code none;
    for (const auto& file : fs::directory_iterator(fs::path(path) / "record", none))
      if (file.path().extension() == ".json") apply_record(file.path(), records), found = true;
    if (!found) throw std::invalid_argument(fmt::format("{} holds no result of a sweep", path));
  }
  return 0;
}

}  // namespace lathe::tune
