#include "records.h"

#include <Halide.h>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace lathe::gen {

namespace {

constexpr const char* kSchema = "lathe.tuned/1";

nlohmann::json read(const std::filesystem::path& path) {
  std::ifstream in(path);
  nlohmann::json record = nlohmann::json::parse(in);
  if (record.value("schema", "") != kSchema)
    throw std::invalid_argument(fmt::format("{}: schema is '{}', expected '{}'; tune this row again", path.string(),
                                            record.value("schema", ""), kSchema));
  return record;
}

// A configuration holds a row's chunk and each kernel's numbers. Kernels it does not name keep their defaults, under
// the configuration's chunk.
const nlohmann::json* configuration(const nlohmann::json& record, const std::string& uarch) {
  for (const auto& entry : record.at("configurations"))
    if (entry.at("uarch") == uarch) return &entry;
  return nullptr;
}

bool look_up(const std::filesystem::path& path, const std::string& row, const std::string& kernel,
             const std::string& tune_for, const Space& space, Choice& choice) {
  if (!std::filesystem::exists(path)) return false;
  try {
    const nlohmann::json record = read(path);
    for (const std::string& uarch : {tune_for, std::string("generic")})
      if (const auto* found = configuration(record, uarch)) {
        Numbers numbers = defaults(space);
        numbers["chunk"] = found->at("chunk");
        if (found->at("kernels").contains(kernel))
          for (const auto& [name, value] : found->at("kernels").at(kernel).at("params").items()) numbers[name] = value;
        check(space, numbers);
        choice = {numbers, row + "/" + uarch};
        return true;
      }
  } catch (const nlohmann::json::exception& error) {
    throw std::invalid_argument(fmt::format("{}: {}", path.string(), error.what()));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}: {}", path.string(), kernel, error.what()));
  }
  return false;
}

}  // namespace

Choice choose(const std::string& directory, const Row& row, const std::string& kernel, const std::string& tune_for,
              const Space& space, const std::vector<std::string>& set) {
  Choice choice{defaults(space), "defaults"};
  const auto lanes = [](const Row& r) { return Halide::Target(r.halide).natural_vector_size<float>(); };
  // numbers of a row with other vectors would be legal here, and slow
  for (const Row* at = &row; !directory.empty() && lanes(*at) == lanes(row); at = &find_row(at->fallback)) {
    const auto path = std::filesystem::path(directory) / (at->name + ".json");
    if (look_up(path, at->name, kernel, tune_for, space, choice) || at->fallback == "none") break;
  }
  for (const std::string& assignment : set) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos) throw std::invalid_argument("--set " + assignment + ": expected knob=value");
    const char *value = assignment.data() + equals + 1, *end = assignment.data() + assignment.size();
    const auto [parsed, error] = std::from_chars(value, end, choice.numbers[assignment.substr(0, equals)]);
    if (error != std::errc() || parsed != end)
      throw std::invalid_argument("--set " + assignment + ": expected a whole number");
    choice.source = "command line";
  }
  check(space, choice.numbers);
  return choice;
}

}  // namespace lathe::gen
