#include "configuration.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace lathe::tune {

namespace fs = std::filesystem;
using Json = nlohmann::json;

RecordFile::RecordFile(const fs::path& folder, const std::string& row) : path_(folder / (row + ".json")), row_(row) {
  if (!fs::exists(path_)) return;
  try {
    std::ifstream in(path_);
    const Json json = Json::parse(in);
    if (json.at("schema") != kRecordSchema)
      throw std::invalid_argument(fmt::format("schema is {}, expected \"{}\"; move it away and tune this row again",
                                              json.at("schema").dump(), kRecordSchema));
    for (const Json& c : json.at("configurations"))
      configurations_.push_back({c.at("uarch"), c.at("chunk"), c.at("kernels"), c.value("evidence", Json())});
  } catch (const std::exception& error) {
    throw std::invalid_argument(fmt::format("{}: {}", path_.string(), error.what()));
  }
}

const Configuration* RecordFile::find(const std::string& uarch) const {
  for (const Configuration& c : configurations_)
    if (c.uarch == uarch) return &c;
  return nullptr;
}

Configuration& RecordFile::of(const std::string& uarch, int chunk) {
  for (Configuration& c : configurations_)
    if (c.uarch == uarch) return c;
  configurations_.push_back({uarch, chunk, Json::object(), nullptr});
  return configurations_.back();
}

nlohmann::ordered_json RecordFile::as_json() const {
  std::vector<const Configuration*> sorted;
  for (const Configuration& c : configurations_) sorted.push_back(&c);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->uarch < b->uarch; });
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Configuration* c : sorted) {
    all.push_back({{"uarch", c->uarch}, {"chunk", c->chunk}, {"kernels", nlohmann::ordered_json(c->kernels)}});
    if (!c->evidence.is_null()) all.back()["evidence"] = nlohmann::ordered_json(c->evidence);
  }
  return {{"schema", kRecordSchema}, {"row", row_}, {"configurations", all}};
}

void RecordFile::write() const {
  const fs::path fresh = path_.string() + ".new";
  std::ofstream out(fresh);
  out << as_json().dump(1) << "\n";
  out.close();
  if (!out) throw std::runtime_error(fmt::format("{} cannot be written", fresh.string()));
  fs::rename(fresh, path_);
}

std::vector<Point> winners_elsewhere(const fs::path& folder, const Space& space, const std::string& without) {
  std::vector<Point> found;
  std::error_code none;
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(folder, none))
    if (file.path().extension() == ".json" && file.path().stem() != without) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::ifstream in(file);
    const Json json = Json::parse(in, nullptr, false);
    if (!json.is_object() || !json.contains("configurations")) continue;
    for (const Json& configuration : json.at("configurations"))
      for (const std::string& name : {space.name(), space.kernel}) {
        if (!configuration.at("kernels").contains(name)) continue;
        Point point = space.fallback;
        for (size_t k = 0; k < space.knobs.size(); k++) {
          const Json& params = configuration.at("kernels").at(name).at("params");
          if (params.contains(space.knobs[k].name)) point[k] = params.at(space.knobs[k].name);
          // the numerical knobs are the row's own
          if (space.knobs[k].numerics && !space.points.empty()) point[k] = space.points[0][k];
        }
        found.push_back(point);
      }
  }
  return found;
}

}  // namespace lathe::tune
