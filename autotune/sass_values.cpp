#include "sass_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "sass_warp.h"

namespace lathe::tune::sass {

namespace {

constexpr size_t kConstants = 4096;  // words of the bank that holds a launch's arguments

// Where ptxas puts the first argument.
size_t first_argument(int architecture) { return architecture >= 90 ? 0x210 : 0x160; }

bool predicate(const Operand& o) { return o.kind == Kind::predicate || o.kind == Kind::uniform_predicate; }

}  // namespace

Values::Values(const Grid& grid, int architecture, int64_t block, int warp) : constants_(kConstants) {
  for (size_t d = 0; d < 3; d++) {
    constants_[d] = static_cast<uint32_t>(grid.threads[d]);
    constants_[3 + d] = static_cast<uint32_t>(grid.blocks[d]);
  }
  size_t at = first_argument(architecture);
  for (size_t n = 0; n < grid.arguments.size(); n++) {
    const Argument& a = grid.arguments[n];
    const auto bytes = static_cast<size_t>(a.bytes);
    at = (at + bytes - 1) / bytes * bytes;
    auto value = static_cast<uint64_t>(a.value);
    if (a.extent > 0) {
      value = (n + 1) * kApart;
      buffers_.push_back({value, a.extent, a.whole ? static_cast<uint32_t>(a.value) : kOne});
    }
    constants_.at(at / 4) = static_cast<uint32_t>(value);
    if (bytes == 8) constants_.at(at / 4 + 1) = static_cast<uint32_t>(value >> 32);
    at += bytes;
  }
  for (int lane = 0; lane < kLanes; lane++) {
    int thread = warp * kLanes + lane;
    for (size_t d = 0; d < 3; d++) {
      threads_[d][static_cast<size_t>(lane)] = static_cast<uint32_t>(thread % grid.threads[d]);
      thread /= grid.threads[d];
    }
  }
  for (size_t d = 0; d < 3; d++) {
    block_[d] = static_cast<uint32_t>(block % grid.blocks[d]);
    block /= grid.blocks[d];
  }
  predicates_[kTrue] = uniform_predicates_[kTrue] = ~0U;
}

uint32_t Values::holds(const Operand& o) const {
  const auto& all = o.kind == Kind::predicate ? predicates_ : uniform_predicates_;
  const uint32_t held = all[static_cast<size_t>(o.index)];
  return o.negated ? ~held : held;
}

uint64_t Values::address(const Operand& memory, int lane) const {
  const auto l = static_cast<size_t>(lane);
  const auto base = static_cast<size_t>(memory.index);
  uint64_t at = registers_[base][l];
  if (memory.wide) at |= uint64_t{registers_[base + 1][l]} << 32;
  at *= static_cast<uint64_t>(memory.scale);
  if (memory.uniform >= 0) {
    const auto u = static_cast<size_t>(memory.uniform);
    at += uniforms_[u];
    if (memory.wide) at += uint64_t{uniforms_[u + 1]} << 32;
  }
  return at + static_cast<uint64_t>(memory.number);
}

uint32_t Values::content(uint64_t address) const {
  for (const Buffer& b : buffers_)
    if (address >= b.begin && address < b.begin + kApart) return b.content;
  return kOne;
}

void Values::put_words(const Operand& to, uint32_t active, uint32_t value, int bytes) {
  for (int word = 0; word < std::max(bytes / 4, 1); word++) {
    Operand one = to;
    one.index = to.index == kZero ? kZero : to.index + word;
    each(active, [&](int lane) { put(one, lane, value); });
  }
}

Values::Parts Values::parts_of(const Instruction& i) {
  Parts parts{nullptr, {}, {}, {}};
  size_t n = 0;
  if (!i.operands.empty() && !predicate(i.operands[0])) parts.to = &i.operands[n++];
  for (; n < i.operands.size() && predicate(i.operands[n]); n++) parts.sets.push_back(&i.operands[n]);
  // LOP3 may set a predicate before its register
  if (!parts.to && n < i.operands.size() && i.code.ends_with("LOP3") && i.code[0] != 'P') parts.to = &i.operands[n++];
  for (; n < i.operands.size(); n++)
    (predicate(i.operands[n]) ? parts.conditions : parts.reads).push_back(&i.operands[n]);
  return parts;
}

uint32_t Values::constant(const Operand& o) const {
  return o.index == 0 ? constants_.at(static_cast<size_t>(o.number) / 4) : 0;
}

uint32_t Values::get(const Operand& o, int lane) const {
  uint32_t value = 0;
  switch (o.kind) {
    case Kind::reg:
      value = registers_[static_cast<size_t>(o.index)][static_cast<size_t>(lane)];
      break;
    case Kind::uniform:
      value = uniforms_[static_cast<size_t>(o.index)];
      break;
    case Kind::number:
      value = static_cast<uint32_t>(o.number);
      break;
    case Kind::constant:
      value = constant(o);
      break;
    default:
      break;
  }
  return o.inverted ? ~value : o.negated ? -value : value;
}

uint64_t Values::get_pair(const Operand& o, int lane) const {
  uint64_t value = 0;
  Operand next = o;
  next.negated = next.inverted = false;
  Operand first = next;
  switch (o.kind) {
    case Kind::reg:
    case Kind::uniform: {
      const bool zero = o.index == (o.kind == Kind::reg ? kZero : kUniformZero);
      next.index += zero ? 0 : 1;
      value = get(first, lane) | uint64_t{get(next, lane)} << 32;
      break;
    }
    case Kind::constant:
      next.number += 4;
      value = get(first, lane) | uint64_t{get(next, lane)} << 32;
      break;
    default:
      value = static_cast<uint64_t>(o.number);
  }
  return o.negated ? -value : value;
}

void Values::put(const Operand& to, int lane, uint32_t value) {
  if (to.kind == Kind::uniform) {
    if (to.index != kUniformZero) uniforms_[static_cast<size_t>(to.index)] = value;
  } else if (to.kind == Kind::reg && to.index != kZero) {
    registers_[static_cast<size_t>(to.index)][static_cast<size_t>(lane)] = value;
  }
}

void Values::put_pair(const Operand& to, int lane, uint64_t value) {
  put(to, lane, static_cast<uint32_t>(value));
  Operand next = to;
  const bool zero = to.index == (to.kind == Kind::reg ? kZero : kUniformZero);
  next.index += zero ? 0 : 1;
  put(next, lane, static_cast<uint32_t>(value >> 32));
}

void Values::set(const Operand& to, int lane, bool value) {
  if (to.index == kTrue) return;
  auto& all = to.kind == Kind::predicate ? predicates_ : uniform_predicates_;
  uint32_t& held = all[static_cast<size_t>(to.index)];
  // a uniform one holds for all threads alike
  const uint32_t bit = to.kind == Kind::predicate ? 1U << lane : ~0U;
  held = value ? held | bit : held & ~bit;
}

// What an addition takes over from the one of the lower half.
bool Values::carried(const Parts& parts, size_t n, int lane) const {
  return n < parts.conditions.size() && (holds(*parts.conditions[n]) >> lane & 1);
}

void Values::one(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    if (p.to) put(*p.to, lane, kOne);
  });
}

void Values::halves(const Instruction& i, uint32_t active) {
  const Parts parts = parts_of(i);
  const bool constant = parts.reads.size() == 4 && parts.reads[2]->kind == Kind::none;
  each(active, [&](int lane) { put(*parts.to, lane, constant ? i.immediate : kOne); });
}

void Values::never(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) { set(*p.sets.at(0), lane, false); });
}

// "P2R R5, PR, RZ, 0x2": bits of a register become what predicates are, the others are those of the second register.
void Values::save_predicates(const Instruction& i, uint32_t active) {
  const auto& all = i.code == "UP2UR" ? uniform_predicates_ : predicates_;
  each(active, [&](int lane) {
    const uint32_t mask = get(i.operands.at(3), lane);
    uint32_t held = 0;
    for (size_t p = 0; p < kTrue; p++) held |= (all[p] >> lane & 1) << p;
    put(i.operands[0], lane, (held & mask) | (get(i.operands[2], lane) & ~mask));
  });
}

void Values::load_predicates(const Instruction& i, uint32_t active) {
  each(active, [&](int lane) {
    const uint32_t held = get(i.operands.at(1), lane), mask = get(i.operands.at(2), lane);
    for (int p = 0; p < kTrue; p++)
      if (mask >> p & 1) set({Kind::predicate, p, false, false, 0, -1, 1, false, {}}, lane, held >> p & 1);
  });
}

void Values::select(const Instruction& i, uint32_t active) {
  compute(i, active,
          [&](const Parts& p, int lane) { put(*p.to, lane, get(*p.reads.at(carried(p, 0, lane) ? 0 : 1), lane)); });
}

void Values::permute(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint64_t both = uint64_t{get(*p.reads.at(2), lane)} << 32 | get(*p.reads.at(0), lane);
    const uint32_t chosen = get(*p.reads.at(1), lane);
    uint32_t value = 0;
    for (int byte = 0; byte < 4; byte++) {
      const uint32_t choice = chosen >> 4 * byte & 15;
      auto one = static_cast<uint32_t>(both >> 8 * (choice & 7) & 255);
      if (choice & 8) one = one & 128 ? 255 : 0;  // its sign
      value |= one << 8 * byte;
    }
    put(*p.to, lane, value);
  });
}

void Values::move(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const Operand& from = *p.reads.at(0);
    put(*p.to, lane, from.kind == Kind::none ? i.immediate : get(from, lane));
  });
}

void Values::clear(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) { i.has("32") ? put(*p.to, lane, 0) : put_pair(*p.to, lane, 0); });
}

void Values::place(const Instruction& i, uint32_t active) {
  const std::string& name = i.operands.at(1).name;
  const auto dimension = static_cast<size_t>(std::max(name.back() - 'X', 0));
  each(active, [&](int lane) {
    const auto l = static_cast<size_t>(lane);
    if (name.starts_with("SR_TID"))
      put(i.operands[0], lane, threads_.at(dimension)[l]);
    else if (name.starts_with("SR_CTAID"))
      put(i.operands[0], lane, block_.at(dimension));
    else if (name == "SR_LANEID")
      put(i.operands[0], lane, static_cast<uint32_t>(lane));
    else if (name == "SR_CgaCtaId")  // of a cluster, whose only block this is
      put(i.operands[0], lane, 0);
    else
      throw std::invalid_argument(fmt::format("'{}' reads what no kernel of ours does", i.text));
  });
}

void Values::load_constant(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    i.has("64") ? put_pair(*p.to, lane, get_pair(*p.reads.at(0), lane)) : put(*p.to, lane, get(*p.reads.at(0), lane));
  });
}

}  // namespace lathe::tune::sass
