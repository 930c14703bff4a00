// Causal linear attention as a fast-weight memory of a text. Head h remembers contexts of h bytes: its key at t is the
// context before byte t, its value is byte t, its query the context through t. So S is a table of counts, and what is
// read out at t is how often each byte has followed the present context: nothing that was seen is read back.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "call.h"

namespace lathe::cli {

constexpr int kHeads = 5;
constexpr int kBytes = 256;
// One slot a byte for the head of one byte, so that it is exact; longer contexts are hashed and may collide.
constexpr int64_t kHashedSlots = 1024;
// Tokens of a call: what a segment needs in one-hot vectors stays near the caches.
constexpr size_t kSegment = 256;

using Counts = std::array<std::array<float, kBytes>, kHeads>;

class ByteMemory {
 public:
  explicit ByteMemory(int threads);

  // Reads on from where it stands, by the causal kernel, in segments of at most that many bytes. `each` is given what
  // the heads count for the byte that follows text[i], for every i in turn.
  using Each = std::function<void(size_t i, const Counts& next)>;
  void read(std::span<const uint8_t> text, const Each& each, size_t segment = kSegment);
  // The same for one byte, by the decode kernel.
  Counts read_one(uint8_t byte);

  // All that it remembers.
  struct State {
    std::vector<std::vector<float>> tables;
    uint64_t last;
    bool operator==(const State&) const = default;
  };
  State state() const;
  void set_state(const State& state);

  // Its calls: what they took, and how long it took.
  std::vector<Timed> calls() const;

 private:
  struct Timer {
    std::unique_ptr<Call> call;
    double seconds = 0;
    int64_t tokens = 0;
  };
  // Heads with the same number of slots share their calls.
  struct Group {
    Group(int first, int count, int64_t slots, int threads);
    Arguments arguments(int64_t tokens) const;
    void run(Timer& timer, const std::vector<uint64_t>& contexts, std::span<const uint8_t> text, Counts* counts);
    void mark(const std::vector<uint64_t>& contexts, std::span<const uint8_t> text, float value);

    int first, count;
    int64_t slots;
    std::vector<float> q, k, v, o, state;
    Timer parallel, decode;
  };

  void read_segment(std::span<const uint8_t> text, bool parallel, Counts* counts);

  std::array<Group, 2> groups_;
  uint64_t last_ = 0;  // the last eight bytes, the newest lowest; before the text there are zeros
};

// Of the context that ends in the lowest byte.
int64_t slot_of(uint64_t last_bytes, int context, int64_t slots);

}  // namespace lathe::cli
