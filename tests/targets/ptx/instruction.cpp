#include "instruction.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "number.h"

namespace ptx {

const std::array<std::string_view, kFixedSlots> kFixedNames = {
    "",         "%tid.x",   "%tid.y",   "%tid.z",    "%ntid.x",   "%ntid.y",  "%ntid.z",
    "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z"};

namespace {

constexpr uint32_t kNan = 0x7FFFFFFF;  // the only one that arithmetic makes

// A slot has 64 bits, of which an operation knows those of its type.
template <typename T>
T read(uint64_t slot) {
  if constexpr (std::same_as<T, bool>)
    return slot != 0;
  else if constexpr (std::same_as<T, float>)
    return std::bit_cast<float>(static_cast<uint32_t>(slot));
  else if constexpr (std::same_as<T, Half>)
    return {static_cast<uint16_t>(slot)};
  else
    return static_cast<T>(slot);
}

template <typename T>
uint64_t slot_of(T value) {
  if constexpr (std::same_as<T, float>)
    return std::isnan(value) ? kNan : std::bit_cast<uint32_t>(value);
  else if constexpr (std::same_as<T, Half>)
    return value.bits;
  else
    return static_cast<uint64_t>(value);  // a signed number with its sign, in registers wider than it too
}

// An operation that is a function of its operands.
template <auto F>
struct Calculation;
template <typename To, typename... From, To (*F)(From...)>
struct Calculation<F> {
  static constexpr std::string_view kOperands = std::string_view("dssss").substr(0, 1 + sizeof...(From));

  static const Instruction* run(Thread& t, const Instruction& i) {
    calculate(t.slots.data(), i, std::index_sequence_for<From...>());
    return &i + 1;
  }

 private:
  template <size_t... k>
  static void calculate(uint64_t* slots, const Instruction& i, std::index_sequence<k...>) {
    slots[i.slots[0]] = slot_of(F(read<From>(slots[i.slots[k + 1]])...));
  }
};

enum class Space { kGlobal, kShared, kLocal, kParam };
constexpr std::array<std::string_view, 4> kSpaces = {"global", "shared", "local", "param"};

// Out of the way of the accesses that are right.
[[noreturn]] void refuse(const Instruction& i, Space space, uint64_t address, size_t size) {
  const std::string_view name = kSpaces[static_cast<size_t>(space)];
  if (address % size != 0)
    throw Fault(kMisaligned, i.line, fmt::format("the address {:#x} in {} is no multiple of {}", address, name, size));
  throw Fault(kIllegalAddress, i.line,
              fmt::format("the {} bytes at {:#x} in {} are not all allocated", size, address, name));
}

void find_again(Range& last, Thread& t, const Instruction& i, uint64_t address, size_t size) {
  const Range* range = find(*t.block->global, address, size);
  if (!range) refuse(i, Space::kGlobal, address, size);
  last = *range;
}

[[noreturn]] void refuse_race(const Instruction& i, uint64_t address) {
  throw Fault(kLaunchFailed, i.line,
              fmt::format("a race: no barrier parts what threads do at {:#x} in shared", address));
}

enum class Access { kRead, kWrite };

template <Space space, Access access, size_t size>
std::byte* memory(Thread& t, const Instruction& i, uint64_t address) {
  Block& block = *t.block;
  if (address % size != 0) refuse(i, space, address, size);
  if constexpr (space == Space::kGlobal) {
    Range& last = block.last[static_cast<size_t>(&i - block.code)];
    if (!last.holds(address, size)) find_again(last, t, i, address, size);
    if (block.touched.counts)  // none is so wide that it lies in two
      (access == Access::kRead ? block.touched.read : block.touched.written).insert(address / kSector);
    return at(address);
  } else if constexpr (space == Space::kParam) {
    return block.parameters.data() + address;  // checked when it was parsed
  } else if constexpr (space == Space::kLocal) {
    if (!Range{0, t.local.size()}.holds(address, size)) refuse(i, space, address, size);
    return t.local.data() + address;
  } else {
    Shared& shared = block.shared;
    if (!Range{0, shared.size()}.holds(address, size)) refuse(i, space, address, size);
    if (!(access == Access::kRead ? shared.may_read(address, size, t.index) : shared.may_write(address, size, t.index)))
      refuse_race(i, address);
    return shared.data() + address;
  }
}

template <Space space, typename T, int n>
struct Load {
  static constexpr std::string_view kOperands = n == 1 ? "da" : n == 2 ? "{dd}a" : "{dddd}a";

  static const Instruction* run(Thread& t, const Instruction& i) {
    uint64_t* slots = t.slots.data();
    const uint64_t address = slots[i.slots[n]] + static_cast<uint64_t>(i.offset);
    T values[n];
    std::memcpy(values, memory<space, Access::kRead, sizeof values>(t, i, address), sizeof values);
    for (int k = 0; k < n; k++) slots[i.slots[static_cast<size_t>(k)]] = slot_of(values[k]);
    return &i + 1;
  }
};

template <Space space, typename T, int n>
struct Store {
  static constexpr std::string_view kOperands = n == 1 ? "as" : n == 2 ? "a{ss}" : "a{ssss}";

  static const Instruction* run(Thread& t, const Instruction& i) {
    const uint64_t* slots = t.slots.data();
    T values[n];
    for (int k = 0; k < n; k++) values[k] = read<T>(slots[i.slots[static_cast<size_t>(k) + 1]]);
    const uint64_t address = slots[i.slots[0]] + static_cast<uint64_t>(i.offset);
    std::memcpy(memory<space, Access::kWrite, sizeof values>(t, i, address), values, sizeof values);
    return &i + 1;
  }
};

// Two halves of a slot, and what they make.
template <typename T>
struct Join {
  static constexpr std::string_view kOperands = "d{ss}";
  static const Instruction* run(Thread& t, const Instruction& i) {
    uint64_t* slots = t.slots.data();
    slots[i.slots[0]] = read<T>(slots[i.slots[1]]) | uint64_t{read<T>(slots[i.slots[2]])} << 8 * sizeof(T);
    return &i + 1;
  }
};
template <typename T>
struct Part {
  static constexpr std::string_view kOperands = "{dd}s";
  static const Instruction* run(Thread& t, const Instruction& i) {
    uint64_t* slots = t.slots.data();
    const uint64_t whole = slots[i.slots[2]];
    slots[i.slots[0]] = static_cast<T>(whole);
    slots[i.slots[1]] = static_cast<T>(whole >> 8 * sizeof(T));
    return &i + 1;
  }
};

struct Branch {
  static constexpr std::string_view kOperands = "t";
  static const Instruction* run(Thread&, const Instruction& i) { return &i + i.offset; }
};

struct Barrier {
  static constexpr std::string_view kOperands = "s";
  static const Instruction* run(Thread& t, const Instruction& i) {
    t.barrier = t.slots[i.slots[0]];
    t.next = &i + 1;
    return nullptr;
  }
};

struct Return {
  static constexpr std::string_view kOperands = {};
  static const Instruction* run(Thread& t, const Instruction&) {
    t.ended = true;
    return nullptr;
  }
};

template <typename T>
constexpr const char* kType = nullptr;
template <>
constexpr const char* kType<uint8_t> = "u8";
template <>
constexpr const char* kType<int8_t> = "s8";
template <>
constexpr const char* kType<uint16_t> = "u16";
template <>
constexpr const char* kType<int16_t> = "s16";
template <>
constexpr const char* kType<uint32_t> = "u32";
template <>
constexpr const char* kType<int32_t> = "s32";
template <>
constexpr const char* kType<uint64_t> = "u64";
template <>
constexpr const char* kType<int64_t> = "s64";
template <>
constexpr const char* kType<float> = "f32";
template <>
constexpr const char* kType<Half> = "f16";

enum class Relation { kEqual, kUnequal, kLess, kAtMost, kGreater, kAtLeast };

template <typename T>
bool is_nan(T a) {
  if constexpr (std::floating_point<T>)
    return std::isnan(a);
  else
    return false;
}

// What holds of a NaN is the caller's word: of an ordered comparison nothing, "unequal" included.
template <typename T, Relation relation, bool of_nan>
bool compare(T a, T b) {
  if constexpr (std::same_as<T, Half>) {
    return compare<float, relation, of_nan>(widen(a), widen(b));
  } else {
    if (is_nan(a) || is_nan(b)) return of_nan;
    switch (relation) {
      case Relation::kEqual:
        return a == b;
      case Relation::kUnequal:
        return a != b;
      case Relation::kLess:
        return a < b;
      case Relation::kAtMost:
        return a <= b;
      case Relation::kGreater:
        return a > b;
      case Relation::kAtLeast:
        return a >= b;
    }
    return false;
  }
}

template <typename T, bool nan>
bool are_numbers(T a, T b) {
  return (is_nan(a) || is_nan(b)) == nan;
}

class Table {
 public:
  Table() {
    arithmetic<uint16_t>();
    arithmetic<int16_t>();
    arithmetic<uint32_t>();
    arithmetic<int32_t>();
    arithmetic<uint64_t>();
    arithmetic<int64_t>();
    wide<uint16_t>();
    wide<int16_t>();
    wide<uint32_t>();
    wide<int32_t>();
    floating();
    comparisons<float>();
    comparisons<Half>();
    bits<uint16_t>("16");
    bits<uint32_t>("32");
    bits<uint64_t>("64");
    logic<bool>("pred");
    memories<Space::kGlobal>("global");
    memories<Space::kShared>("shared");
    memories<Space::kLocal>("local");
    loads<Space::kGlobal>("global.nc");
    loads<Space::kParam>("param");
    is<same<uint64_t>>("cvta.to.global.u64");
    put<Join<uint16_t>>(std::string("mov.b32").append(kOfVector));
    put<Join<uint32_t>>(std::string("mov.b64").append(kOfVector));
    put<Part<uint16_t>>(std::string("mov.b32").append(kToVector));
    put<Part<uint32_t>>(std::string("mov.b64").append(kToVector));
    put<Branch>("bra");
    put<Branch>("bra.uni");
    put<Barrier>("bar.sync");
    put<Return>("ret");
  }

  const std::unordered_map<std::string, Meaning>& all() const { return all_; }

 private:
  template <typename Operation>
  void put(const std::string& opcode) {
    all_.emplace(opcode, Meaning{Operation::run, Operation::kOperands});
  }
  template <auto F>
  void is(const std::string& opcode) {
    put<Calculation<F>>(opcode);
  }

  template <typename T>
  void arithmetic() {
    const std::string type = std::string(".") + kType<T>;
    is<add<T>>("add" + type);
    is<subtract<T>>("sub" + type);
    is<multiply<T>>("mul.lo" + type);
    is<multiply_add<T>>("mad.lo" + type);
    is<divide<T>>("div" + type);
    is<remainder<T>>("rem" + type);
    is<smaller<T>>("min" + type);
    is<larger<T>>("max" + type);
    is<shift_right<T>>("shr" + type);
    if constexpr (std::is_signed_v<T>) is<negate<T>>("neg" + type);
    is<convert<float, T>>("cvt.rn.f32" + type);
    equality<T>(type);
    order<T, false>(type, "");
    conversions_to<T>();
  }

  template <typename To>
  void conversions_to() {
    conversion<To, uint8_t>();
    conversion<To, int8_t>();
    conversion<To, uint16_t>();
    conversion<To, int16_t>();
    conversion<To, uint32_t>();
    conversion<To, int32_t>();
    conversion<To, uint64_t>();
    conversion<To, int64_t>();
  }
  template <typename To, typename From>
  void conversion() {
    is<convert<To, From>>(std::string("cvt.") + kType<To> + "." + kType<From>);
  }

  template <typename T>
  void wide() {
    const std::string type = std::string(".") + kType<T>;
    is<multiply_wide<T>>("mul.wide" + type);
    is<multiply_add_wide<T>>("mad.wide" + type);
  }

  void floating() {
    // without a rounding it is to the nearest too
    for (const std::string rounding : {"", ".rn"}) {
      is<add<float>>("add" + rounding + ".f32");
      is<subtract<float>>("sub" + rounding + ".f32");
      is<multiply<float>>("mul" + rounding + ".f32");
    }
    is<fused>("fma.rn.f32");
    is<quotient>("div.rn.f32");
    is<reciprocal>("rcp.rn.f32");
    is<square_root>("sqrt.rn.f32");
    is<smaller<float>>("min.f32");
    is<larger<float>>("max.f32");
    is<negate_float>("neg.f32");
    is<absolute_float>("abs.f32");
    is<same<uint32_t>>("mov.f32");
    is<select<uint32_t>>("selp.f32");
    is<widen>("cvt.f32.f16");
    is<narrow>("cvt.rn.f16.f32");
  }

  template <typename T>
  void comparisons() {
    const std::string type = std::string(".") + kType<T>;
    equality<T>(type);
    order<T, false>(type, "");
    is<compare<T, Relation::kEqual, true>>("setp.equ" + type);
    is<compare<T, Relation::kUnequal, true>>("setp.neu" + type);
    order<T, true>(type, "u");
    if constexpr (std::floating_point<T>) {
      is<are_numbers<T, false>>("setp.num" + type);
      is<are_numbers<T, true>>("setp.nan" + type);
    }
  }
  template <typename T>
  void equality(const std::string& type) {
    is<compare<T, Relation::kEqual, false>>("setp.eq" + type);
    is<compare<T, Relation::kUnequal, false>>("setp.ne" + type);
  }
  template <typename T, bool of_nan>
  void order(const std::string& type, const std::string& unordered) {
    is<compare<T, Relation::kLess, of_nan>>("setp.lt" + unordered + type);
    is<compare<T, Relation::kAtMost, of_nan>>("setp.le" + unordered + type);
    is<compare<T, Relation::kGreater, of_nan>>("setp.gt" + unordered + type);
    is<compare<T, Relation::kAtLeast, of_nan>>("setp.ge" + unordered + type);
  }

  template <typename T>
  void logic(const std::string& type) {
    is<both<T>>("and." + type);
    is<either<T>>("or." + type);
    is<one_of<T>>("xor." + type);
    is<inverse<T>>("not." + type);
    is<same<T>>("mov." + type);
  }

  template <typename T>
  void bits(const std::string& width) {
    logic<T>("b" + width);
    is<shift_left<T>>("shl.b" + width);
    is<shift_right<T>>("shr.b" + width);
    equality<T>(".b" + width);
    for (const char* letter : {"u", "s"}) is<same<T>>(std::string("mov.") + letter + width);
    for (const char* letter : {"b", "u", "s"}) is<select<T>>(std::string("selp.") + letter + width);
    if constexpr (sizeof(T) == sizeof(uint32_t)) is<extract>("bfe.u32");
  }

  template <Space space>
  void memories(const std::string& name) {
    loads<space>(name);
    stores<space, uint8_t>(name, {"b8", "u8", "s8"});
    stores<space, uint16_t>(name, {"b16", "u16", "s16"});
    stores<space, uint32_t>(name, {"b32", "u32", "s32", "f32"});
    stores<space, uint64_t>(name, {"b64", "u64", "s64"});
  }
  template <Space space, typename T>
  void stores(const std::string& name, const std::vector<std::string>& types) {
    for (const std::string& type : types) {
      put<Store<space, T, 1>>(fmt::format("st.{}.{}", name, type));
      put<Store<space, T, 2>>(fmt::format("st.{}.v2.{}", name, type));
      if constexpr (sizeof(T) < sizeof(uint64_t)) put<Store<space, T, 4>>(fmt::format("st.{}.v4.{}", name, type));
    }
  }
  template <Space space>
  void loads(const std::string& name) {
    loads<space, uint8_t>(name, {"b8", "u8"});
    loads<space, int8_t>(name, {"s8"});
    loads<space, uint16_t>(name, {"b16", "u16"});
    loads<space, int16_t>(name, {"s16"});
    loads<space, uint32_t>(name, {"b32", "u32", "f32"});
    loads<space, int32_t>(name, {"s32"});
    loads<space, uint64_t>(name, {"b64", "u64", "s64"});
  }
  template <Space space, typename T>
  void loads(const std::string& name, const std::vector<std::string>& types) {
    for (const std::string& type : types) {
      put<Load<space, T, 1>>(fmt::format("ld.{}.{}", name, type));
      if constexpr (space != Space::kParam) {
        put<Load<space, T, 2>>(fmt::format("ld.{}.v2.{}", name, type));
        if constexpr (sizeof(T) < sizeof(uint64_t)) put<Load<space, T, 4>>(fmt::format("ld.{}.v4.{}", name, type));
      }
    }
  }

  std::unordered_map<std::string, Meaning> all_;
};

const Table& table() {
  static const Table made;
  return made;
}

}  // namespace

const Meaning* find_meaning(std::string_view opcode) {
  const auto found = table().all().find(std::string(opcode));
  return found == table().all().end() ? nullptr : &found->second;
}

}  // namespace ptx
