// The recurrence on a device, one token of every sequence at a time: decodes, and causal calls of variants whose chunks
// no walk here makes.
#pragma once

#include "tiles.h"

namespace lathe {

class Recurrence : public Tiles {
 public:
  using Tiles::Tiles;
  static bool takes(const Meaning& meaning) {
    const Variant& v = *meaning.variant;
    return meaning.op->op == Op::kDecode || v.keyed() || v.corrects() || v.moves();
  }
  void run();

 private:
  const Variant& variant() const { return *plan_.meaning.variant; }
  // Whether the heads of a token are rows of one item, where else each has a tile of 16 rows to itself. Some of the
  // heads, as one output of each group wants them, begin where no part of memory may; and what reads tiles by heads is
  // left as it is: mixtures, projections of each head, and what some variants have of tokens besides.
  bool takes_heads_as_rows() const;
  Tile of_heads(const Tile& t) const { return heads_are_rows_ ? heads_of_rows(t, s_.HK) : t; }
  // A state of each sequence: where it is, and where a token leaves it. Either may be where the caller has it.
  struct Moved {
    uint32_t in, out;
    Tile now{}, next{}, spare{};  // the last is a tile that nobody needs any more
  };
  // What is read and written where the caller has it. Rows are in calls of one token alone, since parts of lists begin
  // no more freely than parts of other memory.
  void take_in_place();
  void enter(Moved& state);
  void make_room(Moved& state, bool last);
  static void pass_on(Moved& state);
  // The states of sequences that are over after so many tokens.
  void save(int64_t tokens);
  void save(Moved& state, const Ends& ends);
  void save_sums(const Ends& ends);
  // The state after the token from item `first` on, to whoever asked for it.
  void hand_on(int64_t first);
  void enter_sums();
  // A tile of those that the caller has, or of zeros, whose rows are heads.
  Tile rows_of_entering_sums();
  void load();
  void load_bonus();
  void load_own();
  void load_momentum();
  void save_momentum(const Ends& ends, int64_t tokens);
  void move_by_momentum(const OutputHeads& of, int64_t first);
  // What the token from item `first` on leaves of momenta that adapt to it, and what they take of it.
  void adapt(const OutputHeads& of, int64_t first);
  // What the queries of each token have of its keys, or of others like them for each state.
  Tile met(const Tile& keys);

  // What becomes of a state and its sums with the token from item `first` on of each sequence, and what is read of
  // them.
  void sums(int64_t first);
  void sums_of_heads();
  void outputs(int64_t first);
  void read_before(const OutputHeads& of, int64_t first, bool moves_on);
  void move_on(const OutputHeads& of, int64_t first);

  DeviceBuffer q(const OutputHeads& of, int64_t first) const { return row(q_, of.queries, first, s_.N); }
  DeviceBuffer k(int64_t first) const { return row(keys_, all(keys_), first, s_.N); }
  DeviceBuffer v(const OutputHeads& of, int64_t first) const { return row(v_, of.values, first, s_.N); }
  DeviceBuffer o(const OutputHeads& of, int64_t first) const { return row(o_, of.outputs, first, s_.N); }
  DeviceBuffer none() const { return row_of_all(no_keys_, d_.V, s_.N, s_.HK); }
  // Which sequences have a token, and a row of outputs; where there are several, one that is over goes on with nothing.
  bool once() const { return items_.count == s_.N; }
  DeviceBuffer present(const OutputHeads& of) const {
    return once() ? tables_.list(items_, items_.rows, of.outputs.count) : counted(s_.N, of.outputs.count);
  }
  DeviceBuffer written(const OutputHeads& of) const {
    return o_.in_place ? Tiles::written(o_, of.outputs) : counted(s_.N, of.outputs.count);
  }
  DeviceBuffer inverse(const OutputHeads& of) const {
    return normalise() ? number(inverses_, of.queries, 0, s_.N) : number_of_all(ones_, s_.N, s_.HK);
  }
  // That of each head, whatever the item.
  DeviceBuffer bonus(const Heads& heads) const {
    return {bonus_.place, kFloat, {{bonus_.columns, 1}, {s_.N, 0}, {heads.count, bonus_.columns}}};
  }
  // What the token leaves of a state.
  DeviceBuffer left(const Heads& values, int64_t first) const {
    if (variant().keyed()) return row(kept_, values, first, s_.N);
    return decays_.left.heads > 0 ? number(decays_.left, values, first, s_.N) : number_of_all(ones_, s_.N, s_.HK);
  }

  Items items_{}, rows_{}, heads_{};
  std::vector<Items> snapshots_;  // of each token
  bool heads_are_rows_ = false;
  Tile q_{}, keys_{}, v_{}, o_{}, inverses_{};
  // no kernel writes what it reads, but where the caller has it
  Moved state_{LATHE_STATE_IN, LATHE_STATE_OUT}, momentum_{LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT};
  Tile sums_{}, next_sums_{};
  Decays decays_{};
  Tile kept_{}, a_{}, b_{}, beta_{}, bonus_{};
  // Of the momenta what a token leaves and what they take of it, and what was there before the first one.
  Tile left_of_it_{}, taken_{}, step_size_{}, last_key_{}, last_value_{}, apart_{}, length_{};
  Tile own_keys_{}, seen_sums_{}, own_{};
};

}  // namespace lathe
