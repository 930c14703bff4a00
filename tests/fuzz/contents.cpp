// The memory of a call's tensors: what it holds before, and what is wrong with it afterwards.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "drawn_call.h"
#include "elements.h"

namespace fuzz {

namespace {

constexpr int64_t kMostBytes = 8 << 20, kMostElements = 1 << 18;
// A not a number that no arithmetic gives and no conversion keeps, in float32 as in both halves of it.
constexpr unsigned char kUnwritten[] = {0xa5, 0xff};

bool as_before(const Argument& a) {
  return std::equal(a.before.begin(), a.before.end(), a.memory->data()) && a.memory->slack_intact();
}

// Elements that still hold what no kernel computes, and bytes between elements that hold anything else.
std::string fault_of_output(const Argument& a) {
  const size_t bytes = element_bytes(a.view);
  std::vector<bool> element(a.before.size(), false);
  std::string fault;
  each_element(a, [&](int64_t i, int64_t offset) {
    const unsigned char* at = static_cast<const unsigned char*>(a.view.data) + offset * static_cast<int64_t>(bytes);
    bool unwritten = true;
    for (size_t b = 0; b < bytes; b++) {
      element[static_cast<size_t>(at - a.memory->data()) + b] = true;
      unwritten = unwritten && at[b] == kUnwritten[b % 2];
    }
    if (unwritten && fault.empty()) fault = fmt::format("role {}: element {} was not written", a.role, i);
  });
  for (size_t b = 0; b < a.before.size() && fault.empty(); b++)
    if (!element[b] && a.memory->data()[b] != a.before[b])
      fault = fmt::format("role {}: byte {}, of no element, was written", a.role, b);
  if (fault.empty() && !a.memory->slack_intact()) fault = fmt::format("role {}: written outside", a.role);
  return fault;
}

}  // namespace

void DrawnCall::place(Argument& a) {
  a.view.ndim = static_cast<int32_t>(a.shape.size());
  a.view.shape = a.shape.data();
  a.view.strides = a.strides.empty() ? nullptr : a.strides.data();
  const Reach reach = reach_of(a);
  if (reach.elements == 0 || a.view.bits % 8 != 0) return;
  const __int128 bytes = (reach.high - reach.low + 1) * static_cast<__int128>(element_bytes(a.view));
  // strides of zero put any number of elements into one: those would take as long to visit as to compute
  if (bytes > kMostBytes || reach.elements > kMostElements) {
    has_memory = false;
    return;
  }
  a.memory.emplace(static_cast<size_t>(bytes), bytes_.either() ? support::Edge::First : support::Edge::Last);
  a.view.data = a.memory->data() - static_cast<int64_t>(reach.low) * static_cast<int64_t>(element_bytes(a.view));
  fill(a);
  a.before.assign(a.memory->data(), a.memory->data() + static_cast<size_t>(bytes));
}

void DrawnCall::fill(Argument& a) {
  const size_t bytes = element_bytes(a.view);
  auto* first = static_cast<unsigned char*>(a.view.data);
  const auto integer = [&](int64_t i) -> int64_t {
    const std::vector<int64_t>& list = a.role == LATHE_LENGTHS      ? lengths_
                                       : a.role == LATHE_CU_SEQLENS ? cu_seqlens_
                                       : a.role == LATHE_SLOTS      ? slots_
                                                                    : positions_;
    return list.empty() ? 0 : list[static_cast<size_t>(i) % list.size()];
  };
  each_element(a, [&](int64_t i, int64_t offset) {
    unsigned char* to = first + offset * static_cast<int64_t>(bytes);
    // multiples of 1/8 from -1 to 0, or to 1, or from 0 on, by what it is
    const auto mixed = static_cast<uint32_t>(i) * 2654435761u >> 13;
    const bool decays = a.role == LATHE_DECAY || a.role == LATHE_GATE;
    const bool steps = a.role == LATHE_DT || a.role == LATHE_DT_BIAS;
    // what corrects is so small that a float16 of its bits is below 1 too
    const bool small = a.role == LATHE_BETA || a.role == LATHE_A || a.role == LATHE_B;
    const float size = small ? 2048 : 8;
    const bool negative = decays || (!steps && a.role != LATHE_BETA && a.role != LATHE_STEP_SIZE && mixed & 16);
    const float x = static_cast<float>(mixed % 9) / (negative ? -size : size);
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (a.use == Argument::kWritten) {
      for (size_t b = 0; b < bytes; b++) to[b] = kUnwritten[b % 2];
    } else if (a.view.code == 0 && bytes == 8) {
      const int64_t value = integer(i);
      std::memcpy(to, &value, 8);
    } else if (a.view.code == 0 && bytes == 4) {
      const auto value = static_cast<int32_t>(integer(i));
      std::memcpy(to, &value, 4);
    } else if (bytes == 4) {
      std::memcpy(to, &bits, 4);
    } else if (bytes == 2) {
      // as a bfloat16; as a float16 it is another small number
      const auto half = static_cast<uint16_t>(bits >> 16);
      std::memcpy(to, &half, 2);
    }
  });
}

std::string DrawnCall::fault_after_refusal() const {
  for (const Argument& a : arguments_)
    if (a.memory && !as_before(a)) return fmt::format("role {}: touched by a refused call", a.role);
  return "";
}

std::string DrawnCall::fault_after_run() const {
  for (const Argument& a : arguments_) {
    if (!a.memory || a.use == Argument::kUpdated) continue;
    if (a.use == Argument::kRead && !as_before(a)) return fmt::format("role {}: an input was written", a.role);
    // rows that no slot names keep what they hold
    const uint32_t of = a.role & ~uint32_t{LATHE_GRAD};
    const bool some_rows = !slots_.empty() &&
                           (a.role == of || of == LATHE_STATE_IN || of == LATHE_Z_IN || of == LATHE_MOMENTUM_IN) &&
                           a.role != LATHE_O && a.role != LATHE_SNAPSHOTS;
    // snapshots past a length are nobody's
    const bool some_tokens = !lengths_.empty() && a.role == LATHE_SNAPSHOTS;
    if (a.use != Argument::kWritten || some_rows || some_tokens) continue;
    if (std::string fault = fault_of_output(a); !fault.empty()) return fault;
  }
  return "";
}

}  // namespace fuzz
