#include "records.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "record_schema.h"
#include "spaces.h"
#include "vectors.h"

namespace lathe::gen {

namespace {

using Json = nlohmann::json;

// One record file, read for one kernel. Every complaint names the file and, where a value is at fault, its line.
class File {
 public:
  explicit File(const std::filesystem::path& path) : path_(path.string()) {
    std::ifstream in(path);
    text_ = {std::istreambuf_iterator<char>(in), {}};
    try {
      record_ = Json::parse(text_);
    } catch (const Json::exception& error) {
      refuse("", error.what());
    }
    const Json schema = record_.value("schema", Json());
    if (schema != kRecordSchema)
      refuse("/schema",
             fmt::format("the schema is {}, expected \"{}\"; tune this row again", schema.dump(), kRecordSchema));
  }

  // A configuration holds a row's chunk and each kernel's numbers. Kernels it does not name keep their defaults, under
  // the configuration's chunk.
  bool look_up(const std::string& uarch, const std::string& kernel, const std::string& axis, const Space& space,
               Numbers& numbers) const {
    const Json& all = at(record_, "configurations", "");
    for (size_t i = 0; i < all.size(); i++) {
      const std::string where = fmt::format("/configurations/{}", i);
      if (at(all[i], "uarch", where) != uarch) continue;
      numbers = defaults(space);
      take(numbers, space, "chunk", at(all[i], "chunk", where), where + "/chunk");
      const Json& kernels = at(all[i], "kernels", where);
      std::string place = where;
      for (const std::string& key : {kernel + ":" + axis, kernel}) {
        if (!kernels.contains(key)) continue;
        place = where + "/kernels/" + key;
        for (const auto& [name, value] : at(kernels.at(key), "params", place).items())
          take(numbers, space, name, value, place + "/params/" + name);
        break;
      }
      try {
        check(space, numbers);
      } catch (const std::invalid_argument& error) {
        refuse(place, fmt::format("{}: {}", kernel, error.what()));
      }
      return true;
    }
    return false;
  }

  void check_names(const std::string& row, const std::vector<Instance>& instances) const {
    if (record_.value("row", Json()) != row)
      refuse("/row", fmt::format("the row is {}, expected \"{}\", as the file is called",
                                 record_.value("row", Json()).dump(), row));
    const Json& all = at(record_, "configurations", "");
    for (size_t i = 0; i < all.size(); i++) {
      const std::string where = fmt::format("/configurations/{}", i);
      if (!at(all[i], "uarch", where).is_string())
        refuse(where + "/uarch", "expected the name of a micro-architecture");
      for (const auto& [key, value] : at(all[i], "kernels", where).items()) check_kernel(key, where, instances);
    }
  }

  std::vector<std::string> uarchs() const {
    std::vector<std::string> names;
    for (const Json& configuration : record_.at("configurations")) names.push_back(configuration.at("uarch"));
    return names;
  }

 private:
  void check_kernel(const std::string& key, const std::string& where, const std::vector<Instance>& instances) const {
    std::vector<std::string> known;
    for (const Instance& instance : instances) {
      if (key == instance.kernel || key == instance.kernel + ":" + instance.axis) return;
      if (known.empty() || known.back() != instance.kernel) known.push_back(instance.kernel);
    }
    refuse(where + "/kernels/" + key,
           fmt::format("no kernel is called '{}': expected one of {}, alone or with :INSTANCE", key,
                       fmt::join(known, ", ")));
  }

  [[noreturn]] void refuse(const std::string& pointer, const std::string& what) const {
    const auto lines = lines_of(text_);
    const auto line = lines.find(pointer);
    throw std::invalid_argument(
        fmt::format("{}{}: {}", path_, line == lines.end() ? "" : fmt::format(":{}", line->second), what));
  }

  const Json& at(const Json& object, const char* key, const std::string& where) const {
    if (!object.is_object() || !object.contains(key)) refuse(where, fmt::format("expected '{}' here", key));
    return object.at(key);
  }

  void take(Numbers& numbers, const Space& space, const std::string& name, const Json& value,
            const std::string& pointer) const {
    if (!value.is_number_integer())
      refuse(pointer, fmt::format("{} is {}: expected a whole number", name, value.dump()));
    numbers[name] = value;
    try {
      check_value(space, name, value);
    } catch (const std::invalid_argument& error) {
      refuse(pointer, error.what());
    }
  }

  std::string path_, text_;
  Json record_;
};

bool look_up(const std::filesystem::path& path, const std::string& row, const std::string& kernel,
             const std::string& axis, const std::string& tune_for, const Space& space, Choice& choice) {
  if (!std::filesystem::exists(path)) return false;
  const File file(path);
  for (const std::string& uarch : {tune_for, std::string("generic")})
    if (file.look_up(uarch, kernel, axis, space, choice.numbers)) {
      choice.source = row + "/" + uarch;
      return true;
    }
  return false;
}

}  // namespace

void check_record(const std::string& path, const std::vector<Instance>& instances) {
  const File file(path);
  const Row& row = find_row(std::filesystem::path(path).stem().string());
  file.check_names(row.name, instances);
  for (const std::string& uarch : file.uarchs())
    for (const Instance& instance : instances) {
      Numbers numbers;
      file.look_up(uarch, instance.kernel, instance.axis, space_of(row.family, instance, row.halide), numbers);
    }
}

Choice choose(const std::string& directory, const Row& row, const std::string& kernel, const std::string& axis,
              const std::string& tune_for, const Space& space, const std::vector<std::string>& set) {
  Choice choice{defaults(space), "defaults"};
  const auto lanes = [](const Row& r) { return vectors_of(r.halide).lanes; };
  // numbers of a row with other vectors would be legal here, and slow
  for (const Row* at = &row; !directory.empty() && lanes(*at) == lanes(row); at = &find_row(at->fallback)) {
    const auto path = std::filesystem::path(directory) / (at->name + ".json");
    if (look_up(path, at->name, kernel, axis, tune_for, space, choice) || at->fallback == "none") break;
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
