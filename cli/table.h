// Columns for people: as wide as they need, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> heads) { rows_.push_back(std::move(heads)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Bold, green and so on where the output is a terminal, nothing elsewhere.
std::string bold(const std::string& text);
std::string faint(const std::string& text);
std::string green(const std::string& text);

}  // namespace lathe::cli
