#include "json_lines.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

namespace lathe::gen {

namespace {

using Json = nlohmann::json;

// Characters of a text, counting the lines that were read.
class Counting {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Counting(const char* at, int* line) : at_(at), line_(line) {}
  reference operator*() const { return *at_; }
  Counting& operator++() {
    if (*at_ == '\n') ++*line_;
    ++at_;
    return *this;
  }
  Counting operator++(int) {
    const Counting before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Counting& other) const { return at_ == other.at_; }
  bool operator!=(const Counting& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  int* line_;
};

class Keys : public nlohmann::json_sax<Json> {
 public:
  explicit Keys(const int& line) : line_(line) {}
  std::map<std::string, int> lines;

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool key(string_t& name) override {
    open_.back().name = name;
    lines[path()] = line_;
    return true;
  }
  bool start_object(std::size_t) override { return start(false); }
  bool start_array(std::size_t) override { return start(true); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  struct Level {
    bool array;
    int index;
    std::string name;
  };
  bool value() {
    if (!open_.empty() && open_.back().array) open_.back().index++;
    return true;
  }
  bool start(bool array) {
    open_.push_back({array, 0, ""});
    return true;
  }
  bool end() {
    open_.pop_back();
    return value();
  }
  std::string path() const {
    std::string all;
    for (const Level& level : open_) all += "/" + (level.array ? std::to_string(level.index) : level.name);
    return all;
  }

  const int& line_;
  std::vector<Level> open_;
};

}  // namespace

std::map<std::string, int> lines_of(const std::string& json) {
  int line = 1;
  Keys keys(line);
  Json::sax_parse(Counting(json.data(), &line), Counting(json.data() + json.size(), &line), &keys);
  return keys.lines;
}

}  // namespace lathe::gen
