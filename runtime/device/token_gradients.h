// Gradients on a device of variants whose chunks no walk here makes: forth and back, one token of every sequence at a
// time. Where a sequence has no token, all that kernels read of it is zero. States are moved where they lie.
#pragma once

#include "gradients.h"

namespace lathe {

class TokenGradients : public Gradients {
 public:
  using Gradients::Gradients;

 protected:
  const Variant& variant() const { return *plan_.meaning.variant; }
  void begin_tokens();
  // Rows that begin as zeros: only the first is a token's.
  Tile rows_of_tokens(int64_t columns, int64_t heads) { return zeros(columns, kRows, items_.count, heads); }

  // Of the token of each sequence from item `first` on.
  DeviceBuffer token(const Tile& t, const Heads& h, int64_t first) const { return row(t, h, first, s_.N); }
  DeviceBuffer tile_of_token(const Tile& t, const Heads& h, int64_t first) const { return rows(t, h, first, s_.N); }
  DeviceBuffer one() const { return number_of_all(ones_, s_.N, s_.HK); }
  DeviceBuffer row_of_ones(int64_t columns) const { return row_of_all(ones_, columns, s_.N, s_.HK); }
  DeviceBuffer row_of_minus_ones(int64_t columns) const { return row_of_all(minus_ones_, columns, s_.N, s_.HK); }

  void read(DeviceBuffer&& q, const Tile& state, const Heads& h, DeviceBuffer&& by, DeviceBuffer&& to) {
    const auto begin = [&] { return at(s_.N, h.count); };
    const auto one = [&] { return counted(s_.N, h.count); };
    launcher_.call(*k_.recall, q, rows(state, h), by, begin(), begin(), begin(), one(), one(), to);
  }
  // What is left of a state, and k^T v.
  void move(const Tile& state, const Heads& h, DeviceBuffer&& left, DeviceBuffer&& k, DeviceBuffer&& v) {
    launcher_.call(*k_.update_keys, left, k, v, rows(state, h), rows(state, h));
  }
  // state += q^T dO of all outputs.
  void take_outputs(const Tile& state, int64_t first);
  void turn(const Tile& state, const Heads& h, const Tile& turned) { transpose(state, h, turned); }
  // Rows of outputs, or of values, summed for each query head, or for each key head.
  Tile of_queries(const Tile& of_outputs);
  Tile of_keys(const Tile& of_values);
  void finish_states(const Tile& states, uint32_t role) {
    if (const Tensor& x = p_[gradient_of(role)]; x.present()) scatter(states, 0, x, of_states(x), of_states_, s_.V);
  }

  Items items_{};
  Tile q_{}, keys_{}, v_{}, g_{};
  Tile minus_ones_{};
};

class MomentumGradients : public TokenGradients {
 public:
  using TokenGradients::TokenGradients;
  void run();

 private:
  void sum_keys();
  void load();
  Tile forth();  // gradients of queries
  void back();
  void add_normaliser(const Tile& dk);

  Tile sums_{}, inverses_{}, slopes_{};
  // Of a momentum: what a token leaves, and takes; and of what comes back, once for each row of a state.
  Tile left_{}, taken_{}, given_{}, rests_{}, moves_{};
};

class DeltaGradients : public TokenGradients {
 public:
  using TokenGradients::TokenGradients;
  void run();

 private:
  void load();
  // The state that a token leaves, from the one that entered.
  void move_on(const Tile& state, const Heads& of, int64_t first) {
    move(state, of, token(kept_, of, first), token(keys_, all(keys_), first), token(taken_, of, first));
  }
  Tile copy(const Tile& x) {
    const Tile to = like(x);
    sum(to, all(to), rows(x), true);
    return to;
  }
  Tile forth();  // gradients of queries
  // Through a chunk of tokens from the last to the first, whose entering states are known.
  void back();
  void back(const std::vector<Tile>& entered, int64_t begin);
  void finish_keys();
  // What gates above 0, or betas past an end of their range, would give: they count as that end.
  Tile slopes(const Tile& gradients, const Tile& x);
  void finish_betas();
  void finish_gates();

  Tile came_{}, kept_{}, beta_{}, taken_keys_{}, turned_{};
  Tile differences_{}, taken_{};
  std::vector<Tile> entered_;  // each chunk
  // Gradients: of the state, what a token adds and values; of a key what that gives to the state and what it takes away
  Tile state_{}, added_{}, dv_{}, later_{}, earlier_{}, gates_{};
};

}  // namespace lathe
