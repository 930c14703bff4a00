// The record files, schedules/records/<row>.json: what the build takes. schedules/records.cpp reads the same.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../schedules/record_schema.h"
#include "space.h"

namespace lathe::tune {

// A whole configuration of a row for one micro-architecture.
struct Configuration {
  std::string uarch;
  int chunk = 0;
  nlohmann::json kernels = nlohmann::json::object();  // name -> {params, evidence}
  nlohmann::json evidence = nullptr;                  // of the chunk, and of the whole against what was before
};

class RecordFile {
 public:
  // Empty where there is no such file. Throws std::invalid_argument naming the file and what is wrong with it.
  RecordFile(const std::filesystem::path& folder, const std::string& row);

  const Configuration* find(const std::string& uarch) const;
  // Makes one when there is none.
  Configuration& of(const std::string& uarch, int chunk);
  // Sorted, so that the same configurations are the same bytes. Whole or not at all.
  void write() const;
  const std::filesystem::path& path() const { return path_; }
  nlohmann::ordered_json as_json() const;

 private:
  std::filesystem::path path_;
  std::string row_;
  std::vector<Configuration> configurations_;
};

// What other rows and micro-architectures chose for a kernel, as points of this space: seeds of a search. Without those
// of one row, where a search must not know its answer.
std::vector<Point> winners_elsewhere(const std::filesystem::path& folder, const Space& space,
                                     const std::string& without = "");

}  // namespace lathe::tune
