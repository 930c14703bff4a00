// The memory that the threads of a block share, and who touched it since the last barrier. What one thread writes and
// another touches with no barrier between them is a race, which a processor that runs thread after thread would hide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ptx {

class Shared {
 public:
  void resize(uint64_t bytes);
  // Of a block: full of NaN, as all memory that was allocated and not written.
  void begin();
  void pass_barrier() { interval_++; }

  uint64_t size() const { return bytes_.size(); }
  std::byte* data() { return bytes_.data(); }

  // By a thread, of bytes that there are. False where it is a race.
  bool may_read(uint64_t address, uint64_t size, int thread);
  bool may_write(uint64_t address, uint64_t size, int thread);

 private:
  static constexpr int16_t kNobody = -1, kSeveral = -2;
  struct Touch {
    uint32_t interval = 0;  // between two barriers, in which this holds
    int16_t writer = kNobody, reader = kNobody;
  };
  Touch& touch(uint64_t address);

  uint32_t interval_ = 0;
  std::vector<std::byte> bytes_;
  std::vector<Touch> touches_;  // of each byte
};

}  // namespace ptx
