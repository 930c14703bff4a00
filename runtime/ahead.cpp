#include "ahead.h"

#include <algorithm>

#include "../generators/stretch.h"

namespace lathe {

namespace {

constexpr int64_t kLine = 64;

}  // namespace

Ahead::Ahead(const Worker& worker, const Sequence& s, const Step& coming, int64_t key_head,
             std::initializer_list<uint32_t> roles)
    : rows_(coming.rows) {
  for (uint32_t role : roles) add(worker, s, coming.t, key_head, role);
}

Ahead Ahead::of_scan(const Worker& worker, const Sequence& s, const Step& coming, int64_t key_head, bool outputs) {
  Ahead ahead(worker, s, coming, key_head, {LATHE_K, LATHE_V});
  if (worker.plan().meaning.variant->keyed()) ahead.add(worker, s, coming.t, key_head, LATHE_GATE);
  if (worker.plan().meaning.variant->rank_one())
    for (uint32_t role : {LATHE_A, LATHE_B}) ahead.add(worker, s, coming.t, key_head, role);
  for (uint32_t role : {LATHE_Q, LATHE_O})
    if (outputs) ahead.add(worker, s, coming.t, key_head, role);
  return ahead;
}

void Ahead::add(const Worker& worker, const Sequence& s, int64_t t, int64_t key_head, uint32_t role) {
  const Problem& p = worker.problem();
  const Tensor& x = p[role];
  const Group group{p.sizes, worker.plan().meaning.tiled()};
  const int64_t heads = x.shape[2], keys = worker.mixes(role) ? p.sizes.keys : 1;
  // lines that are to be written are asked for as such: stores that wait for theirs cost more than all loads
  const bool written = role == LATHE_O || (role >= gradient_of(0) && role != gradient_of(LATHE_O));
  for (int64_t l = 0; l < heads / p.sizes.HK * keys && n_ < streams_.size(); l++)
    streams_[n_++] = {x.at(s.batch, s.token(t), group.head(heads, key_head, l / keys), 0, l % keys),
                      s.step * x.stride[1] * size_of(x.storage), x.shape[3] * size_of(x.storage), written};
}

void Ahead::ask(int64_t part, int64_t parts) {
  // GCC takes a function that does nothing but this for one without effects, and leaves out calls that it sees
  asm volatile("");
  const int64_t end = rows_ * (part + 1) / parts;
  for (size_t n = 0; n < n_; n++) {
    const Stream& stream = streams_[n];
    const char* row = stream.row + asked_ * stream.stride;
    for (int64_t i = asked_; i < end; i++, row += stream.stride)
      if (stream.written) {
#pragma GCC unroll 4
        for (int64_t b = 0; b < stream.bytes; b += kLine) __builtin_prefetch(row + b, 1);
      } else {
#pragma GCC unroll 4
        for (int64_t b = 0; b < stream.bytes; b += kLine) __builtin_prefetch(row + b);
      }
  }
  asked_ = std::max(asked_, end);
}

int64_t Ahead::list(int64_t lists, int64_t width, int64_t room, uint64_t* to) {
  constexpr int64_t piece = kLinesAsked * kLine;
  int64_t of_row = 0;
  for (size_t n = 0; n < n_; n++) of_row += (streams_[n].bytes + piece - 1) / piece;
  const int64_t rows = rows_ - asked_, each = (of_row * rows + lists - 1) / lists;
  if (each > width || lists * each + width > room || each == 0) return 0;
  uint64_t* first = to;
  for (size_t n = 0; n < n_; n++)
    for (int64_t b = 0; b < streams_[n].bytes; b += piece, first++) {
      const Stream& stream = streams_[n];
      auto address = reinterpret_cast<uint64_t>(stream.row + asked_ * stream.stride + b);
      const auto stride = static_cast<uint64_t>(stream.stride);
      for (int64_t i = 0; i < rows; i++, address += stride) first[i * of_row] = address;
    }
  asked_ = rows_;
  uint64_t* const end = to + of_row * rows;
  std::fill(end, to + lists * each + width, end[-1]);
  return each;
}

}  // namespace lathe
