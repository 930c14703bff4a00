// What each instruction means. There are those that the CUDA rows consist of, at every width where that says no more,
// and no others: whatever else a module holds is refused when it is loaded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "memory.h"
#include "shared.h"

namespace ptx {

struct Instruction;
struct Thread;

// Returns what the thread goes on with, or nullptr where it stops: at a barrier and at its end.
using Handler = const Instruction* (*)(Thread&, const Instruction&);

constexpr size_t kMostOperands = 5;

// Registers, numbers and special registers alike lie in a thread's slots, so that an operand is an index.
struct Instruction {
  Handler run = nullptr;
  std::array<uint32_t, kMostOperands> slots{};  // of the operands, as they are written
  uint32_t guard = 0;                           // it is passed over unless this predicate is as wanted
  bool wanted = true;
  int64_t offset = 0;  // of an address in bytes, of a branch in instructions
  int line = 0;
};

// The slots that every thread has: one that is true, for instructions without a guard, and the special registers.
enum FixedSlot : uint32_t {
  kTrue,
  kThread,
  kThreads = kThread + 3,
  kBlock = kThreads + 3,
  kBlocks = kBlock + 3,
  kFixedSlots = kBlocks + 3
};
extern const std::array<std::string_view, kFixedSlots> kFixedNames;

// What reads and writes touch of global memory, by the sectors in which it moves; nothing unless somebody counts.
constexpr uint64_t kSector = 32;
struct Touched {
  bool counts = false;
  std::unordered_set<uint64_t> read, written;
};

// What the threads of a block see.
struct Block {
  const Ranges* global = nullptr;
  const Instruction* code = nullptr;
  std::vector<std::byte> parameters;
  Shared shared;
  std::vector<Range>
      last;  // where each instruction found its address last, which is where it most often finds the next
  Touched touched;
};

struct Thread {
  Block* block = nullptr;
  int index = 0;  // in its block
  const Instruction* next = nullptr;
  std::optional<uint64_t> barrier;  // at which it waits
  bool ended = false;
  std::vector<uint64_t> slots;
  std::vector<std::byte> local;
};

// What a thread may not do.
struct Fault : std::runtime_error {
  Fault(int code, int at, const std::string& what) : std::runtime_error(what), status(code), line(at) {}
  int status;  // the driver's
  int line;
};
constexpr int kIllegalAddress = 700, kMisaligned = 716, kLaunchFailed = 719;

// How the operands are written, a letter for each: a (d)estination, a (s)ource, an (a)ddress, a (t)arget; braces around
// those of a vector.
struct Meaning {
  Handler run;
  std::string_view operands;
};

// Of an opcode with all its modifiers; nullptr if it is unknown. Moves of vectors have the same as others, and here a
// word more.
constexpr std::string_view kOfVector = " of a vector", kToVector = " to a vector";
const Meaning* find_meaning(std::string_view opcode);

}  // namespace ptx
