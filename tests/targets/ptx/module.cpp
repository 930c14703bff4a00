#include "module.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <unordered_map>

namespace ptx {

namespace {

struct Token {
  std::string_view text;
  int line;
};

bool is_of_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

std::vector<std::string> split_into_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::vector<Token> split_into_tokens(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (text.substr(at).starts_with("//")) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (c == '\n') line++;
    if (std::isspace(static_cast<unsigned char>(c))) {
      at++;
      continue;
    }
    size_t length = 1;
    if (is_of_word(c))
      while (at + length < text.size() && is_of_word(text[at + length])) length++;
    tokens.push_back({text.substr(at, length), line});
    at += length;
  }
  return tokens;
}

// The bytes of a type such as .b32 or .f16; 0 if it has none.
uint64_t bytes_of(std::string_view type) {
  static const std::set<std::string_view> types = {".b8",  ".u8",  ".s8",  ".b16", ".u16", ".s16", ".f16", ".b32",
                                                   ".u32", ".s32", ".f32", ".b64", ".u64", ".s64", ".f64"};
  if (!types.contains(type)) return 0;
  uint64_t width = 0;
  std::from_chars(type.data() + 2, type.data() + type.size(), width);
  return width / 8;
}

uint64_t align(uint64_t offset, uint64_t to) { return (offset + to - 1) / to * to; }

struct Symbol {
  std::string_view space;  // as directives name it
  uint64_t address, bytes;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lines_(split_into_lines(text)), tokens_(split_into_tokens(text)) {}

  Module run() {
    while (at_ < tokens_.size()) {
      if (take(".version")) {
        next();
      } else if (take(".target")) {
        target();
      } else if (take(".address_size")) {
        expect("64");
      } else if (take(".shared")) {
        array(".shared", shared_bytes_, symbols_);
      } else {
        take(".visible");
        expect(".entry");
        Kernel kernel = entry();
        if (!module_.kernels.emplace(kernel.name, kernel).second) fail("there are two of this name");
      }
    }
    return std::move(module_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const int line = tokens_.empty() ? 0 : tokens_[std::min(at_, tokens_.size()) - (at_ > 0)].line;
    throw ParseError(
        fmt::format("line {}: {}: {}", line, what, line == 0 ? "nothing" : lines_[static_cast<size_t>(line) - 1]));
  }

  std::string_view peek() const { return at_ < tokens_.size() ? tokens_[at_].text : ""; }
  std::string_view next() {
    if (at_ == tokens_.size()) fail("the module ends too early");
    return tokens_[at_++].text;
  }
  bool take(std::string_view text) {
    if (peek() != text) return false;
    at_++;
    return true;
  }
  void expect(std::string_view text) {
    if (const std::string_view found = next(); found != text) fail(fmt::format("{} where {} is expected", found, text));
  }

  void target() {
    std::string_view name = next();
    if (!name.starts_with("sm_")) fail("an unknown target");
    name.remove_prefix(3);
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), module_.target);
    if (error != std::errc() || end != name.data() + name.size()) fail("an unknown target");
  }

  uint64_t number() {
    const bool negative = take("-");
    std::string_view text = next();
    int base = 10;
    if (const bool bits = text.starts_with("0f"); bits || text.starts_with("0x")) {
      text.remove_prefix(2);
      base = 16;
      if (bits && (text.size() != 8 || negative)) fail("a number of another type");
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) fail(fmt::format("{} is no number", text));
    return negative ? 0 - value : value;
  }

  using Symbols = std::unordered_map<std::string_view, Symbol>;

  // .align 4 .b8 name[64];
  void array(std::string_view space, uint64_t& taken, Symbols& symbols) {
    const uint64_t alignment = take(".align") ? number() : 0;
    const uint64_t element = bytes_of(next());
    if (element == 0) fail("an unknown type");
    const std::string_view name = next();
    uint64_t count = 1;
    if (take("[")) {
      count = number();
      expect("]");
    }
    expect(";");
    const uint64_t address = align(taken, std::max(alignment, element));
    if (!symbols.emplace(name, Symbol{space, address, count * element}).second) fail("declared twice");
    taken = address + count * element;
  }

  Kernel entry() {
    Kernel k;
    k.name = next();
    k.lines = lines_;
    k.slots.resize(kFixedSlots);
    k.slots[kTrue] = 1;
    k.shared_bytes = shared_bytes_;
    local_ = symbols_;
    registers_.clear();
    constants_.clear();
    labels_.clear();
    branches_.clear();
    for (uint32_t i = kTrue + 1; i < kFixedSlots; i++) fixed_.emplace(kFixedNames[i], i);
    if (take("(")) parameters(k);
    if (take(".maxntid")) limit(k);
    expect("{");
    while (!take("}")) statement(k);
    k.code.push_back({.run = find_meaning("ret")->run, .line = k.code.empty() ? 0 : k.code.back().line});
    for (const auto& [from, label] : branches_) {
      const auto to = labels_.find(label.text);
      if (to == labels_.end()) throw ParseError(fmt::format("line {}: no label {}", label.line, label.text));
      k.code[from].offset = static_cast<int64_t>(to->second) - static_cast<int64_t>(from);
    }
    return k;
  }

  // .param .u64 .ptr .align 1 name: what a pointer points to says nothing here
  void parameters(Kernel& k) {
    if (take(")")) return;
    do {
      expect(".param");
      const uint64_t bytes = bytes_of(next());
      if (bytes == 0) fail("an unknown type");
      if (take(".ptr")) {
        take(".global");
        if (take(".align")) number();
      }
      const uint64_t offset = align(k.parameter_bytes, bytes);
      k.parameters.push_back({offset, bytes});
      k.parameter_bytes = offset + bytes;
      if (!local_.emplace(next(), Symbol{".param", offset, bytes}).second) fail("declared twice");
    } while (take(","));
    expect(")");
  }

  void limit(Kernel& k) {
    uint64_t threads = 1;
    do threads *= number();
    while (take(","));
    k.most_threads = static_cast<uint32_t>(std::min<uint64_t>(threads, k.most_threads));
  }

  void statement(Kernel& k) {
    if (take(".reg")) return declare(k);
    if (take(".local")) return array(".local", k.local_bytes, local_);
    if (take(".shared")) return array(".shared", k.shared_bytes, local_);
    if (take("{")) return scope(k);
    if (at_ + 1 < tokens_.size() && tokens_[at_ + 1].text == ":") {
      if (!labels_.emplace(next(), k.code.size()).second) fail("this label is there twice");
      return expect(":");
    }
    instruction(k);
  }

  // { .reg .b32 tmp; ... }
  void scope(Kernel& k) {
    const auto outside = registers_;
    while (!take("}")) statement(k);
    registers_ = outside;
  }

  // .reg .b32 %r<110>;
  void declare(Kernel& k) {
    const std::string_view type = next();
    if (type != ".pred" && bytes_of(type) == 0) fail("an unknown type");
    do {
      const std::string name(next());
      if (take("<")) {
        const uint64_t count = number();
        expect(">");
        for (uint64_t i = 0; i < count; i++) add_register(k, name + std::to_string(i));
      } else {
        add_register(k, name);
      }
    } while (take(","));
    expect(";");
  }
  void add_register(Kernel& k, const std::string& name) {
    if (!registers_.emplace(name, k.slots.size()).second) fail("declared twice");
    k.slots.push_back(0);
  }

  void instruction(Kernel& k) {
    Instruction i;
    if (take("@")) {
      i.wanted = !take("!");
      i.guard = destination();
    }
    const std::string_view opcode = next();
    const Meaning* meaning = find_meaning(std::string(opcode).append(vector(opcode)));
    if (!meaning) fail(fmt::format("the instruction {} is unknown", opcode));
    i.run = meaning->run;
    i.line = tokens_[at_ - 1].line;
    bool first = true;
    size_t operands = 0;
    for (const char what : meaning->operands) {
      if (what == '}') {
        expect("}");
        continue;
      }
      if (!first) expect(",");
      first = what == '{';
      if (what == '{')
        expect("{");
      else if (what == 't')
        branches_.push_back({k.code.size(), {next(), i.line}});
      else
        i.slots[operands++] = what == 'd' ? destination() : what == 's' ? source(k) : address(k, i, opcode);
    }
    expect(";");
    k.code.push_back(i);
  }

  // What tells a move of a vector from others.
  std::string_view vector(std::string_view opcode) const {
    if (!opcode.starts_with("mov.")) return {};
    if (peek() == "{") return kToVector;
    return at_ + 2 < tokens_.size() && tokens_[at_ + 2].text == "{" ? kOfVector : "";
  }

  uint32_t destination() {
    const std::string_view name = next();
    const auto found = registers_.find(std::string(name));
    if (found == registers_.end()) fail(fmt::format("no register {}", name));
    return static_cast<uint32_t>(found->second);
  }

  uint32_t source(Kernel& k) {
    const std::string_view name = peek();
    if (const auto found = registers_.find(std::string(name)); found != registers_.end()) return destination();
    if (const auto found = fixed_.find(name); found != fixed_.end()) {
      at_++;
      return found->second;
    }
    if (const auto found = local_.find(name); found != local_.end()) {
      at_++;
      return constant(k, found->second.address);
    }
    return constant(k, number());
  }

  uint32_t address(Kernel& k, Instruction& i, std::string_view opcode) {
    expect("[");
    const auto symbol = local_.find(peek());
    const uint32_t base = source(k);
    if (take("+")) i.offset = static_cast<int64_t>(number());
    expect("]");
    if (symbol != local_.end() && opcode.find(symbol->second.space) == std::string_view::npos)
      fail(fmt::format("what is declared in {} is used elsewhere", symbol->second.space));
    if (opcode.find(".param.") == std::string_view::npos) return base;
    // of these no address is computed
    const uint64_t size = bytes_of(opcode.substr(opcode.rfind('.')));
    if (symbol == local_.end() || !Range{0, symbol->second.bytes}.holds(static_cast<uint64_t>(i.offset), size))
      fail("no such parameter");
    return base;
  }

  uint32_t constant(Kernel& k, uint64_t value) {
    const auto [found, made] = constants_.emplace(value, k.slots.size());
    if (made) k.slots.push_back(value);
    return static_cast<uint32_t>(found->second);
  }

  const std::vector<std::string> lines_;
  const std::vector<Token> tokens_;
  size_t at_ = 0;
  Module module_;
  Symbols symbols_;  // the module's
  uint64_t shared_bytes_ = 0;

  // of the kernel that is being parsed
  Symbols local_;
  std::unordered_map<std::string, size_t> registers_;
  std::unordered_map<std::string_view, uint32_t> fixed_;
  std::unordered_map<uint64_t, size_t> constants_;
  std::unordered_map<std::string_view, size_t> labels_;
  std::vector<std::pair<size_t, Token>> branches_;
};

}  // namespace

Module parse(std::string_view text) { return Parser(text).run(); }

}  // namespace ptx
