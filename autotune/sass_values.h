// The registers of a warp, and the instructions that compute whole numbers and conditions from them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "sass_code.h"

namespace lathe::tune::sass {

struct Grid;

constexpr int kLanes = 32;
constexpr uint32_t kOne = 0x3f800000;           // 1 as a float: what every float is taken for
constexpr uint64_t kApart = uint64_t{1} << 36;  // of buffers: argument n that is one begins at (n + 1) of it

class Values {
 public:
  Values(const Grid& grid, int architecture, int64_t block, int warp);

  void one(const Instruction& i, uint32_t active);     // a float
  void halves(const Instruction& i, uint32_t active);  // two floats, as which ptxas also writes a constant
  void never(const Instruction& i, uint32_t active);
  void nothing(const Instruction&, uint32_t) {}
  void add(const Instruction& i, uint32_t active);
  void multiply_add(const Instruction& i, uint32_t active);
  void scaled_add(const Instruction& i, uint32_t active);
  void logic(const Instruction& i, uint32_t active);
  void shift(const Instruction& i, uint32_t active);
  void extend_sign(const Instruction& i, uint32_t active);
  void compare(const Instruction& i, uint32_t active);
  void compare_floats(const Instruction& i, uint32_t active);
  void least(const Instruction& i, uint32_t active);
  void add_least(const Instruction& i, uint32_t active);
  void magnitude(const Instruction& i, uint32_t active);
  void save_predicates(const Instruction& i, uint32_t active);
  void load_predicates(const Instruction& i, uint32_t active);
  void select(const Instruction& i, uint32_t active);
  void permute(const Instruction& i, uint32_t active);
  void move(const Instruction& i, uint32_t active);
  void clear(const Instruction& i, uint32_t active);
  void predicate_logic(const Instruction& i, uint32_t active);
  void special(const Instruction& i, uint32_t active);
  void to_float(const Instruction& i, uint32_t active);
  void to_whole(const Instruction& i, uint32_t active);
  void place(const Instruction& i, uint32_t active);
  void load_constant(const Instruction& i, uint32_t active);

 protected:
  template <typename Work>
  static void each(uint32_t active, Work work) {
    for (; active != 0; active &= active - 1) work(std::countr_zero(active));
  }
  uint32_t holds(const Operand& o) const;  // the threads for which a predicate does
  uint64_t address(const Operand& memory, int lane) const;
  uint32_t content(uint64_t address) const;  // of what a buffer is filled with
  void put_words(const Operand& to, uint32_t active, uint32_t value, int bytes);

 private:
  // An instruction's operands by their parts: predicates that it sets, then what it reads, then predicates that it
  // reads.
  struct Parts {
    const Operand* to;
    std::vector<const Operand*> sets, reads, conditions;
  };
  static Parts parts_of(const Instruction& i);

  uint32_t get(const Operand& o, int lane) const;
  uint64_t get_pair(const Operand& o, int lane) const;
  uint32_t constant(const Operand& o) const;
  void put(const Operand& to, int lane, uint32_t value);
  void put_pair(const Operand& to, int lane, uint64_t value);
  void set(const Operand& to, int lane, bool value);
  bool carried(const Parts& parts, size_t n, int lane) const;
  template <typename Work>
  void compute(const Instruction& i, uint32_t active, Work work) {
    const Parts parts = parts_of(i);
    each(active, [&](int lane) { work(parts, lane); });
  }
  bool joined(const Instruction& i, bool value, const Parts& parts, int lane) const;

  std::array<std::array<uint32_t, kLanes>, 256> registers_{};
  std::array<uint32_t, 64> uniforms_{};
  std::array<uint32_t, 8> predicates_{}, uniform_predicates_{};  // a bit for each thread
  std::vector<uint32_t> constants_;
  struct Buffer {
    uint64_t begin;
    int64_t bytes;
    uint32_t content;
  };
  std::vector<Buffer> buffers_;
  std::array<std::array<uint32_t, kLanes>, 3> threads_{};
  std::array<uint32_t, 3> block_{};
};

}  // namespace lathe::tune::sass
