// Memory that the next step of a walk will want, asked for a few rows at a time: all at once it would stall where it is
// asked for.
#pragma once

#include <array>
#include <initializer_list>

#include "worker.h"

namespace lathe {

class Ahead {
 public:
  // Of a key head, and of heads of other tensors that belong to it.
  Ahead(const Worker& worker, const Sequence& s, const Step& coming, int64_t key_head,
        std::initializer_list<uint32_t> roles);
  // What a causal scan takes.
  static Ahead of_scan(const Worker& worker, const Sequence& s, const Step& coming, int64_t key_head, bool outputs);
  // Up to part `part` of `parts`, of what was not yet asked for.
  void ask(int64_t part, int64_t parts);
  // What was not yet asked for, as so many lists of addresses, each for kLinesAsked lines, one after the other, for
  // kernels that ask themselves; `width` more are behind the last. How long each list is: 0 where nothing is left, one
  // would be longer than `width`, or all are more than there is room for.
  int64_t list(int64_t lists, int64_t width, int64_t room, uint64_t* to);

 private:
  struct Stream {
    const char* row;
    int64_t stride, bytes;
    bool written;
  };
  void add(const Worker& worker, const Sequence& s, int64_t t, int64_t key_head, uint32_t role);

  int64_t rows_;
  static constexpr size_t kStreams = 24;  // more than that are left to come by themselves
  std::array<Stream, kStreams> streams_;
  size_t n_ = 0;
  int64_t asked_ = 0;
};

}  // namespace lathe
