// Whole numbers of a call that its launches read: which tokens an item has, and where its state lies. The host makes
// them from the lengths, offsets and slots of the caller, and they reach the device at the beginning of the workspace.
#pragma once

#include <vector>

#include "../sequences.h"
#include "launcher.h"

namespace lathe {

// What gather and scatter ask about each item.
struct Items {
  int64_t count;
  // Where each list begins, among the numbers of Tables; `left` are the tokens that its sequence has from there on.
  size_t token, batch, rows, all, position, skipped, left;
  // The rows of an item are the heads of its one token, else its tokens.
  bool heads_are_rows = false;
};

// The sequences that are over after so many chunks, among all: of others no row of a state is meant.
struct Ends {
  int64_t chunks;
  Items states, sums;
};

class Tables {
 public:
  // Chunks of all sequences, of `chunk` tokens: the first of each sequence, then the second of each. Queries or keys,
  // or gradients of keys, which are zero where a sequence has ended.
  Items chunks(const Problem& problem, uint32_t role, int64_t chunk);
  // The heads of the one token that a sequence has, of so many: the row of the batch is the token where sequences are
  // packed, and tensors have heads for tokens.
  Items heads(const Problem& problem, int64_t heads);
  // The rows of the state of each sequence.
  Items states(const Problem& problem, int64_t rows);
  // Those that are put where sequences end, of which states() has `states` and `sums`, of so many rows.
  std::vector<Ends> ends(const Problem& problem, uint32_t role, int64_t chunk, const Items& states, const Items& sums,
                         int64_t rows, int64_t rows_of_sums);
  // Those of the sequences that have so many tokens and one more, for each number that any has. The row of the batch is
  // as in heads(), of the first token.
  std::vector<Items> after_tokens(const Problem& problem, int64_t rows);
  // Those chunks from the last to the first, as items of a tile that has them in their order.
  Items mirrored(const Problem& problem, uint32_t role, int64_t chunk);
  // What those meet of numbers of tokens that are read from the last to the first: each row that of the token after its
  // own, where there is one.
  Items mirrored_gates(const Problem& problem, int64_t chunk);
  // The first token of each sequence.
  Items first_tokens(const Problem& problem);
  // As many items as sequences, each a row.
  Items numbered(const Problem& problem);
  // The tokens after those of chunks().
  Items following(const Problem& problem, uint32_t role, int64_t chunk);
  // Of each item of a tile, so many rows from one on.
  Items rows_of(int64_t items, int64_t first, int64_t rows);
  // One item that is `rows` rows.
  Items alone(int64_t rows);

  // Where the tokens of items begin in the caller's tensor, as kernels that read it in place want it: in vectors of
  // four. The numbers of a head are `apart` from those of the next.
  struct Addresses {
    size_t begin = 0;
    int64_t apart = 0;
  };
  struct Strides {
    int64_t token, batch, head;
  };
  Addresses addresses(const Items& items, int64_t from, const Strides& strides, int64_t heads);

  // To the device; nothing is added after it.
  void stage(Launcher& launcher);
  // A number for each item, the same for all heads.
  DeviceBuffer list(const Items& items, size_t begin, int64_t heads) const {
    return {{place_.memory, place_.offset + begin * sizeof(int32_t), sizeof(int32_t)},
            halide_type_t(halide_type_int, 32),
            {{items.count, 1}, {heads, 0}}};
  }
  // The number of the first item, for each of so many.
  DeviceBuffer again(size_t begin, int64_t items, int64_t heads) const {
    return {{place_.memory, place_.offset + begin * sizeof(int32_t), sizeof(int32_t)},
            halide_type_t(halide_type_int, 32),
            {{items, 0}, {heads, 0}}};
  }
  DeviceBuffer list(const Items& items, const Addresses& of, int64_t head, int64_t step, int64_t heads) const {
    const size_t begin = of.begin + static_cast<size_t>(head * of.apart);
    return {{place_.memory, place_.offset + begin * sizeof(int32_t), sizeof(int32_t)},
            halide_type_t(halide_type_int, 32),
            {{items.count, 1}, {heads, step * of.apart}}};
  }
  // The rows that count, of the items that are the chunks of so many sequences.
  DeviceBuffer rows_of_chunks(const Items& items, int64_t sequences, int64_t heads) const {
    return {list(items, items.rows, heads), sequences};
  }

 private:
  struct Item {
    int64_t token, batch, rows, all, position, skipped = 0, left = 0;
  };
  // Of `rows` tokens of sequence n, from its first one on, those that there are.
  static Item stretch(const Problem& p, int64_t n, uint32_t role, int64_t first, int64_t rows);
  Items chunks_from(const Problem& problem, uint32_t role, int64_t chunk, int64_t first);
  Items add(const std::vector<Item>& items);
  size_t append(const std::vector<int64_t>& list);

  std::vector<int32_t> numbers_;
  Place place_;
};

// Chunks that the longest sequence of a call has.
int64_t most_chunks(const Problem& problem, uint32_t role, int64_t chunk);

}  // namespace lathe
