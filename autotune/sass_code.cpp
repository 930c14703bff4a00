#include "sass_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace lathe::tune::sass {

namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

int64_t whole(std::string_view text) {
  const bool negative = take(text, "-");
  const int base = take(text, "0x") ? 16 : 10;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument(fmt::format("'{}' is no whole number", text));
  return negative ? -static_cast<int64_t>(number) : static_cast<int64_t>(number);
}

// "R12", "RZ"; -1 where it is something else.
int numbered(std::string_view text, std::string_view prefix, std::string_view last, int of_last) {
  if (!take(text, prefix) || text.empty()) return -1;
  if (text == last) return of_last;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) return -1;
  return static_cast<int>(whole(text));
}

// The part in front of a dot: what stands behind says how a register is read ("reuse", "64", "X4").
std::string_view before_dot(std::string_view text) { return text.substr(0, text.find('.')); }

// "[R2.64+UR4+0x10]", of which the brackets have gone.
Operand memory(std::string_view text) {
  Operand operand{Kind::memory, kZero, false, false, 0, -1, 1, false, {}};
  while (!text.empty()) {
    const size_t plus = text.find('+');
    std::string_view part = text.substr(0, plus);
    text.remove_prefix(plus == std::string_view::npos ? text.size() : plus + 1);
    const std::string_view name = before_dot(part);
    if (const int reg = numbered(name, "R", "Z", kZero); reg >= 0) {
      operand.index = reg;
      operand.wide = part.find(".64") != std::string_view::npos;
      if (const size_t scale = part.find(".X"); scale != std::string_view::npos)
        operand.scale = static_cast<int>(whole(part.substr(scale + 2)));
    } else if (const int uniform = numbered(name, "UR", "Z", kUniformZero); uniform >= 0) {
      operand.uniform = uniform;
    } else {
      operand.number += whole(part);
    }
  }
  return operand;
}

Operand operand_of(std::string_view text) {
  const std::string_view whole_text = text;
  Operand operand;
  if (take(text, "desc[")) text.remove_prefix(text.find(']') + 1);  // how the caches treat it
  operand.negated = take(text, "!") || (text.starts_with("-") && text.find_first_of("Rc|U") == 1 && take(text, "-"));
  operand.inverted = take(text, "~");
  if (take(text, "|")) text = text.substr(0, text.find('|'));  // magnitudes are of floats, which are not followed
  if (text.starts_with("[")) {
    return memory(text.substr(1, text.size() - 2));
  }
  if (take(text, "c[0x0][") || take(text, "c[0x3][") || take(text, "c[0x4][")) {
    operand.kind = Kind::constant;
    if (whole_text.find("c[0x0]") == std::string_view::npos) operand.index = 1;  // of another bank than arguments
    std::string_view at = text.substr(0, text.find(']'));
    if (const size_t plus = at.find('+'); plus != std::string_view::npos) at = at.substr(plus + 1);
    operand.number = whole(at);
    return operand;
  }
  const std::string_view name = before_dot(text);
  const std::pair<Kind, int> registers[] = {
      {Kind::uniform, numbered(name, "UR", "Z", kUniformZero)},
      {Kind::uniform_predicate, numbered(name, "UP", "T", kTrue)},
      {Kind::reg, numbered(name, "R", "Z", kZero)},
      {Kind::predicate, numbered(name, "P", "T", kTrue)},
  };
  for (const auto& [kind, index] : registers)
    if (index >= 0) {
      operand.kind = kind;
      operand.index = index;
      return operand;
    }
  if (text.starts_with("SR")) {
    operand.kind = Kind::special;
    operand.name = text;
    return operand;
  }
  if (text.starts_with("0x") || text.starts_with("-0x")) {
    operand.kind = Kind::number;
    operand.number = whole(text);
    return operand;
  }
  // a float, a barrier or a mode: none of them moves control or an address
  operand.kind = Kind::none;
  return operand;
}

Instruction instruction_of(std::string_view text, const std::map<std::string, int, std::less<>>& labels) {
  Instruction made;
  made.text = text;
  if (text.starts_with("@")) {
    const size_t space = text.find(' ');
    made.guard = operand_of(text.substr(1, space - 1));
    text = trimmed(text.substr(space));
  }
  const size_t end = std::min(text.find(' '), text.size());
  std::string_view code = text.substr(0, end);
  made.code = before_dot(code);
  while (code.find('.') != std::string_view::npos) {
    code.remove_prefix(code.find('.') + 1);
    made.modifiers.emplace_back(before_dot(code));
  }
  for (std::string_view rest = trimmed(text.substr(end)); !rest.empty();) {
    const size_t comma = std::min(rest.find(", "), rest.size());
    const std::string_view one = trimmed(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 2, rest.size()));
    if (const size_t label = one.find("`("); label != std::string_view::npos) {
      const auto found = labels.find(one.substr(label + 2, one.find(')') - label - 2));
      if (found != labels.end()) made.target = found->second;
    } else {
      made.operands.push_back(operand_of(one));
    }
  }
  return made;
}

Control control_of(uint64_t high) {
  const auto bits = [&](int from, int count) { return static_cast<int>((high >> from) & ((1U << count) - 1)); };
  return {bits(41, 4), bits(46, 3), bits(49, 3), bits(52, 6)};
}

struct Line {
  std::string text;
  uint64_t low = 0, high = 0;  // of its encoding
};
struct Section {
  std::string name;
  std::vector<Line> lines;
  std::map<std::string, int, std::less<>> labels;
};

Code code_of(const Section& section) {
  Code code;
  for (const Line& line : section.lines) {
    try {
      code.push_back(instruction_of(line.text, section.labels));
    } catch (const std::exception& error) {
      throw std::invalid_argument(fmt::format("{}: '{}': {}", section.name, line.text, error.what()));
    }
    code.back().control = control_of(line.high);
    code.back().immediate = static_cast<uint32_t>(line.low >> 32);
  }
  return code;
}

}  // namespace

bool Instruction::has(std::string_view modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

std::map<std::string, Code> read_code(const std::string& listing) {
  std::map<std::string, Code> all;
  Section section;
  const auto close = [&] {
    if (!section.name.empty()) all[section.name] = code_of(section);
    section = {};
  };
  std::istringstream in(listing);
  for (std::string text; std::getline(in, text);) {
    std::string_view line = text;
    if (line.starts_with(".text.")) {
      close();
      section.name = line.substr(6, line.find(':') - 6);
      continue;
    }
    if (line.starts_with(".L_")) {
      section.labels[std::string(line.substr(0, line.find(':')))] = static_cast<int>(section.lines.size());
      continue;
    }
    line = trimmed(line);
    const size_t words = line.rfind("/* 0x");
    if (section.name.empty() || words == std::string_view::npos) continue;
    const auto encoded = static_cast<uint64_t>(whole(line.substr(words + 3, 18)));
    if (words == 0) {  // the second word has a line of its own
      if (!section.lines.empty()) section.lines.back().high = encoded;
      continue;
    }
    line.remove_prefix(line.find("*/") + 2);
    section.lines.push_back({std::string(trimmed(line.substr(0, line.rfind(';')))), encoded, 0});
  }
  close();
  return all;
}

}  // namespace lathe::tune::sass
