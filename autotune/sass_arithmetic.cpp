// What instructions make of whole numbers, and of the floats by which those are divided.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "sass_values.h"

namespace lathe::tune::sass {

void Values::add(const Instruction& i, uint32_t active) {
  const bool high = i.has("X");
  compute(i, active, [&](const Parts& p, int lane) {
    uint64_t sum = high ? uint64_t{carried(p, 0, lane)} + uint64_t{carried(p, 1, lane)} : 0;
    for (const Operand* o : p.reads) {
      Operand plain = *o;
      plain.negated = plain.inverted = false;
      const uint32_t value = get(plain, lane);
      // -x is ~x and a carry, which of a higher half comes from below
      if (o->inverted || (o->negated && high))
        sum += uint32_t(~value);
      else
        sum += o->negated ? uint64_t{uint32_t(~value)} + 1 : value;
    }
    put(*p.to, lane, static_cast<uint32_t>(sum));
    for (size_t n = 0; n < p.sets.size(); n++) set(*p.sets[n], lane, (sum >> 32) > n);
  });
}

void Values::multiply_add(const Instruction& i, uint32_t active) {
  const bool unsigned_ = i.has("U32"), wide = i.has("WIDE"), high = i.has("HI");
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane), b = get(*p.reads.at(1), lane);
    const Operand none;
    const Operand& c = p.reads.size() > 2 ? *p.reads[2] : none;
    const uint64_t product =
        unsigned_ ? uint64_t{a} * b
                  : static_cast<uint64_t>(int64_t{static_cast<int32_t>(a)} * int64_t{static_cast<int32_t>(b)});
    if (wide || high) {
      const uint64_t added = get_pair(c, lane), sum = product + added + (i.has("X") ? carried(p, 0, lane) : 0);
      if (high) return put(*p.to, lane, static_cast<uint32_t>(sum >> 32));
      put_pair(*p.to, lane, sum);
      for (const Operand* o : p.sets) set(*o, lane, sum < added);
      return;
    }
    const uint64_t sum = uint64_t{static_cast<uint32_t>(a * b)} + get(c, lane) + (i.has("X") ? carried(p, 0, lane) : 0);
    put(*p.to, lane, static_cast<uint32_t>(sum));
    for (const Operand* o : p.sets) set(*o, lane, sum >> 32);
  });
}

void Values::scaled_add(const Instruction& i, uint32_t active) {
  const bool high = i.has("HI"), extends = i.has("SX32");
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane);
    const auto by = static_cast<int>(get(*p.reads.back(), lane) & 31);
    const uint64_t carry = i.has("X") ? carried(p, 0, lane) : 0;
    const Operand& other = *p.reads.at(1);
    Operand plain = other;
    plain.negated = plain.inverted = false;
    uint64_t b = get(plain, lane);
    if (other.negated) b = i.has("X") ? uint32_t(~b) : uint64_t{uint32_t(~b)} + 1;
    if (other.inverted) b = uint32_t(~b);
    uint64_t scaled = static_cast<uint32_t>(a << by);
    if (high) {
      const uint32_t above = extends              ? static_cast<uint32_t>(static_cast<int32_t>(a) >> 31)
                             : p.reads.size() > 3 ? get(*p.reads[2], lane)
                                                  : 0;
      const uint64_t both = uint64_t{above} << 32 | a;
      scaled = static_cast<uint32_t>(both << by >> 32);
    }
    const uint64_t sum = scaled + b + carry;
    put(*p.to, lane, static_cast<uint32_t>(sum));
    for (const Operand* o : p.sets) set(*o, lane, sum >> 32);
  });
}

void Values::logic(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane), b = get(*p.reads.at(1), lane), c = get(*p.reads.at(2), lane);
    const auto table = static_cast<uint32_t>(p.reads.at(3)->number);
    uint32_t value = 0;
    for (uint32_t row = 0; row < 8; row++)
      if (table >> row & 1) value |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    put(*p.to, lane, value);
    for (const Operand* o : p.sets) set(*o, lane, value != 0);
  });
}

void Values::shift(const Instruction& i, uint32_t active) {
  const bool left = i.has("L"), high = i.has("HI"), wide = i.has("U64") || i.has("S64"), wraps = i.has("W");
  const bool is_signed = i.has("S32") || i.has("S64");
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane), c = get(*p.reads.at(2), lane);
    uint32_t by = get(*p.reads.at(1), lane);
    by = wraps ? by % (wide ? 64 : 32) : std::min<uint32_t>(by, wide ? 63 : 32);
    const uint64_t both = uint64_t{c} << 32 | a;
    uint64_t value = 0;
    if (left)
      value = high ? both << by >> 32 : by > 31 && !wide ? 0 : both << by;
    else if (high)
      value = is_signed ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(c)} >> by) : uint64_t{c} >> by;
    else
      value = is_signed ? static_cast<uint64_t>(static_cast<int64_t>(both) >> by) : both >> by;
    put(*p.to, lane, static_cast<uint32_t>(value));
  });
}

void Values::extend_sign(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t unused = 32 - std::clamp<uint32_t>(get(*p.reads.at(1), lane), 1, 32);
    const uint32_t top = get(*p.reads.at(0), lane) << unused;
    put(*p.to, lane, i.has("U32") ? top >> unused : static_cast<uint32_t>(static_cast<int32_t>(top) >> unused));
  });
}

namespace {

template <typename Number>
bool holds_between(const Instruction& i, Number a, Number b) {
  if (i.has("LT") || i.has("LTU")) return a < b;
  if (i.has("LE") || i.has("LEU")) return a <= b;
  if (i.has("GT") || i.has("GTU")) return a > b;
  if (i.has("GE") || i.has("GEU")) return a >= b;
  if (i.has("EQ") || i.has("EQU")) return a == b;
  if (i.has("NE") || i.has("NEU")) return a != b;
  throw std::invalid_argument(fmt::format("unknown comparison '{}'", i.text));
}

}  // namespace

bool Values::joined(const Instruction& i, bool value, const Parts& parts, int lane) const {
  if (parts.conditions.empty()) return value;
  const bool other = holds(*parts.conditions[0]) >> lane & 1;
  return i.has("OR") ? value || other : i.has("XOR") ? value != other : value && other;
}

void Values::compare(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane), b = get(*p.reads.at(1), lane);
    const bool below = p.conditions.size() > 1 && (holds(*p.conditions[1]) >> lane & 1);
    bool value =
        i.has("U32") ? holds_between(i, a, b) : holds_between(i, static_cast<int32_t>(a), static_cast<int32_t>(b));
    if (i.has("EX")) {  // what the lower halves were found to be decides where these are equal
      if (a == b)
        value = below;
      else if (i.has("EQ") || i.has("NE"))
        value = i.has("NE");
    }
    const bool both = joined(i, value, p, lane), opposite = joined(i, !value, p, lane);
    set(*p.sets.at(0), lane, both);
    if (p.sets.size() > 1) set(*p.sets[1], lane, opposite);
  });
}

void Values::compare_floats(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    // a float that stands in the instruction is in its encoding
    const auto value_of = [&](const Operand& o) {
      return std::bit_cast<float>(o.kind == Kind::none ? i.immediate : get(o, lane));
    };
    const bool value = i.has("NAN")   ? false
                       : i.has("NUM") ? true
                                      : holds_between(i, value_of(*p.reads.at(0)), value_of(*p.reads.at(1)));
    const bool both = joined(i, value, p, lane), opposite = joined(i, !value, p, lane);
    set(*p.sets.at(0), lane, both);
    if (p.sets.size() > 1) set(*p.sets[1], lane, opposite);
  });
}

void Values::least(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    uint32_t a = get(*p.reads.at(0), lane);
    for (size_t n = 1; n < p.reads.size(); n++) {
      const uint32_t b = get(*p.reads[n], lane);
      const bool lesser = i.has("U32") ? a < b : static_cast<int32_t>(a) < static_cast<int32_t>(b);
      if (lesser != carried(p, 0, lane)) a = b;
    }
    put(*p.to, lane, a);
  });
}

void Values::add_least(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane) + get(*p.reads.at(1), lane), b = get(*p.reads.at(2), lane);
    const bool lesser = i.has("U32") ? a < b : static_cast<int32_t>(a) < static_cast<int32_t>(b);
    put(*p.to, lane, lesser == carried(p, 0, lane) ? a : b);
  });
}

void Values::magnitude(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane);
    put(*p.to, lane, static_cast<int32_t>(a) < 0 ? -a : a);
  });
}

void Values::special(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    // a division of whole numbers begins with a reciprocal
    const float value = i.has("RCP") ? 1 / std::bit_cast<float>(get(*p.reads.at(0), lane)) : 1;
    put(*p.to, lane, std::bit_cast<uint32_t>(value));
  });
}

void Values::to_float(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const uint32_t a = get(*p.reads.at(0), lane);
    const double exact = i.has("U32") ? a : static_cast<int32_t>(a);
    auto value = static_cast<float>(exact);
    if (i.has("RP") && value < exact) value = std::nextafter(value, std::numeric_limits<float>::infinity());
    put(*p.to, lane, std::bit_cast<uint32_t>(value));
  });
}

void Values::to_whole(const Instruction& i, uint32_t active) {
  compute(i, active, [&](const Parts& p, int lane) {
    const double value = std::trunc(std::bit_cast<float>(get(*p.reads.at(0), lane)));
    const double least = i.has("U32") ? 0 : -0x1p31, most = i.has("U32") ? 0x1p32 - 1 : 0x1p31 - 1;
    put(*p.to, lane, static_cast<uint32_t>(static_cast<int64_t>(std::clamp(value, least, most))));
  });
}

void Values::predicate_logic(const Instruction& i, uint32_t active) {
  // two that it sets, three that it reads, and a table for each of the two
  each(active, [&](int lane) {
    uint32_t row = 0;
    for (size_t n = 2; n < 5; n++) row = row << 1 | (holds(i.operands.at(n)) >> lane & 1);
    for (size_t n = 0; n < 2; n++)
      set(i.operands[n], lane, static_cast<uint32_t>(i.operands.at(5 + n).number) >> row & 1);
  });
}

}  // namespace lathe::tune::sass
