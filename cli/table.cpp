#include "table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace lathe::cli {

namespace {

bool coloured() {
  static const bool yes = isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR");
  return yes;
}

std::string in_style(const char* code, const std::string& text) {
  return coloured() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

// Letters, not bytes: the names of units hold some that take two.
size_t letters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(const std::string& text) {
  return text == "-" || (!text.empty() && std::isdigit(static_cast<unsigned char>(text[0])));
}

}  // namespace

std::string bold(const std::string& text) { return in_style("1", text); }
std::string faint(const std::string& text) { return in_style("2", text); }
std::string green(const std::string& text) { return in_style("32", text); }

std::string Table::text() const {
  std::vector<size_t> widths(rows_[0].size());
  std::vector<bool> right(rows_[0].size(), rows_.size() > 1);
  for (size_t r = 0; r < rows_.size(); r++)
    for (size_t c = 0; c < rows_[r].size(); c++) {
      widths[c] = std::max(widths[c], letters(rows_[r][c]));
      if (r > 0 && !is_number(rows_[r][c])) right[c] = false;
    }
  std::string all;
  for (size_t r = 0; r < rows_.size(); r++) {
    std::string line = " ";
    for (size_t c = 0; c < rows_[r].size(); c++) {
      const std::string space(widths[c] - letters(rows_[r][c]), ' ');
      line += " " + (right[c] ? space + rows_[r][c] : rows_[r][c] + space) + " ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    all += (r == 0 ? faint(line) : line) + "\n";
  }
  return all;
}

}  // namespace lathe::cli
