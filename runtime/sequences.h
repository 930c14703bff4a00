// The sequences of a call, and which heads go together.
#pragma once

#include <algorithm>

#include "plan.h"

namespace lathe {

struct Sequence {
  int64_t batch, first;   // row of the batch and first token in it
  int64_t queries, keys;  // tokens that count
  int64_t padding;        // outputs after them, to be zeroed
  int64_t state;          // row of the state tensors
  int64_t position;       // of the first token
  int64_t index;          // among the sequences of the call
  int64_t step = 1;       // to the token that comes next: -1 where they are walked from the last to the first

  // Where walking begins, and the token, counted in the row of the batch, that is t steps further.
  int64_t token(int64_t t) const { return step > 0 ? first + t : first + queries - 1 - t; }
  int64_t position_of(int64_t t) const { return position + token(t) - first; }
  Sequence reversed() const {
    Sequence s = *this;
    s.step = -step;
    return s;
  }
};

inline Sequence sequence(const Problem& p, int64_t n) {
  const Sizes& s = p.sizes;
  Sequence q{n, 0, s.Tq, s.Tk, 0, n, 0, n};
  if (p[LATHE_CU_SEQLENS].present()) {
    const int64_t begin = p[LATHE_CU_SEQLENS].integer(n), end = p[LATHE_CU_SEQLENS].integer(n + 1);
    q = {0, begin, end - begin, end - begin, 0, n, 0, n};
  } else if (p[LATHE_LENGTHS].present()) {
    const int64_t length = p[LATHE_LENGTHS].integer(n);
    q.keys = length;
    if (s.Tq == s.Tk) {
      q.padding = s.Tq - length;
      q.queries = length;
    }
  }
  if (p[LATHE_SLOTS].present()) q.state = p[LATHE_SLOTS].integer(n);
  if (p[LATHE_POSITION].present()) q.position = p[LATHE_POSITION].integer(n);
  return q;
}

// What is added to the steps of state heads from `head` on, `apart` heads from one to the next.
inline Strided bias_of_steps(const Problem& p, int64_t head, int64_t apart) {
  static constexpr float none = 0;
  const Tensor& bias = p[LATHE_DT_BIAS];
  if (!bias.present()) return {reinterpret_cast<const char*>(&none), 0, Storage::kF32};
  return {bias.at(head), bias.stride[0] * apart, Storage::kF32};
}

// The query, value and output heads that belong to one key head. `l` counts within the group of that key head.
struct Group {
  const Sizes& s;
  bool tiled;
  int64_t outputs() const { return s.out_heads() / s.HK; }
  int64_t values() const { return s.HV / s.HK; }
  int64_t head(int64_t total, int64_t key_head, int64_t l) const {
    const int64_t size = total / s.HK;
    return tiled ? l * s.HK + key_head : key_head * size + l;
  }
  int64_t value_of(int64_t output) const { return of(output, values()); }
  int64_t query_of(int64_t output) const { return of(output, s.HQ / s.HK); }
  // Of an output head, among all.
  int64_t state_of(int64_t output) const {
    const int64_t states = s.state_heads();
    return tiled ? output % states : output * states / s.out_heads();
  }

 private:
  int64_t of(int64_t output, int64_t size) const { return tiled ? output % size : output * size / outputs(); }
};

// The steps of a walk over chunks, heads inside: the current one and the one to ask memory for.
struct Step {
  int64_t t, rows, head;  // head counts from the unit's first
};

inline int64_t chunks_of(int64_t tokens, int64_t chunk) { return (tokens + chunk - 1) / chunk; }

// The last chunk may be short; with `short_first` it is the first, as for one who walks from the end.
template <typename Visit>
void walk_chunks(int64_t first, int64_t end, int64_t chunk, int64_t heads, Visit visit, bool short_first = false) {
  const int64_t left = short_first ? (end - first) % chunk : 0;
  const auto rows_at = [&](int64_t t) {
    return t == first && left > 0 ? left : std::clamp<int64_t>(end - t, 0, chunk);
  };
  for (int64_t t = first; t < end; t += rows_at(t))
    for (int64_t h = 0; h < heads; h++) {
      const bool last = h + 1 == heads;
      const int64_t next = last ? t + rows_at(t) : t;
      visit(Step{t, rows_at(t), h}, Step{next, rows_at(next), last ? 0 : h + 1});
    }
}

}  // namespace lathe
