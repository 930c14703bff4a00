// Gradients of the causal scan. Two scans: forward, S^T gives dQ; backward, R, the sum of q^T dO of this token and
// later ones, gives dK and dV. Each is the causal kernel with its arguments in other places, the second on rows that
// are walked from the last token to the first. A normaliser is a column of ones beside the values, and is added row by
// row. Where each key dimension has a gate, so do the columns of dQ and dK, which have a kernel of their own; dV is the
// forward kernel again. No states are kept, unless the delta rule asks for those that enter a chunk.
#pragma once

#include "gradient.h"

namespace lathe {

class CausalBackward : public GradientWalk {
 public:
  CausalBackward(Worker& worker, const Unit& unit);
  void run();

 private:
  struct Rows {
    const Tile &k, &q, &v;
  };

  bool wants_gates() const { return p_.wants_gate_gradients(); }
  bool keyed() const { return plan_.meaning.variant->keyed(); }
  bool steps() const { return plan_.meaning.variant->steps(); }
  bool corrects() const { return plan_.meaning.variant->corrects(); }
  bool of_out_gates() const { return p_.wants_gradient(LATHE_OUT_GATE); }
  // Whether the walk forth carries the state as it is, besides its transposed.
  bool keeps_state() const { return keyed() || of_out_gates() || corrects(); }
  bool lags() const { return plan_.meaning.variant->reads_before(); }
  float* transposed(int64_t h, int64_t value) const { return w_.state(carried(h), group_.values() + value); }

  // The walks, causal_backward.cpp.
  void load_forth(int64_t h) const;
  void step_forth(const Step& now, const Step& next) const;
  void load_back(int64_t h) const;
  void step_back(const Step& now, const Step& next) const;
  // dk += r, the sum of the denominators' gradients times q, of each token and later ones.
  template <typename Hold>
  void of_normaliser(const Gradient& g, const Step& now, Hold hold, const Tile& q, const Worker::Rows& gates,
                     const Worker::Room& dk) const;
  void save_back(int64_t h) const;
  // Mapped keys of a chunk of the walk back. A maximum rises as tokens come: keys that subtract one are mapped in that
  // order, and then turned round.
  Tile keys_back(const Gradient& g, const Step& now) const;

  // What is kept of each token, by its place in the sequence: of a query its denominator's inverse and gradient, of a
  // value head q . dq, and before the first of those what the last state gives to every gate.
  float* kept(int64_t h, int64_t row) const {
    return w_.at(b_.tokens) + (h * (2 * queries_ + group_.values()) + row) * p_.sizes.Tq;
  }
  float* inverses(int64_t h, int64_t query) const { return kept(h, query); }
  float* denominators(int64_t h, int64_t query) const { return kept(h, queries_ + query); }
  float* products(int64_t h, int64_t value) const { return kept(h, 2 * queries_ + value); }
  // Sums of the walk back: what later tokens and the last state give to a gate, and all that the head's DECAY, DT_BIAS
  // and SKIP were given.
  struct Given {
    double gate, decay, bias, skip;
  };
  Given& given(int64_t h, int64_t value) const {
    return reinterpret_cast<Given*>(w_.at(b_.given))[h * group_.values() + value];
  }
  // The same where each key dimension has a gate: q dq, row by row, and sums for each key.
  float* product_rows(int64_t h, int64_t value) const {
    return w_.at(b_.products) + (h * group_.values() + value) * (p_.sizes.Tq + d_.C) * d_.K;
  }
  double* given_keys(int64_t h, int64_t value) const {
    return reinterpret_cast<double*>(w_.at(b_.given) + (h * group_.values() + value) * 3 * d_.K);
  }
  float* given_bonus(int64_t h, int64_t value) const { return reinterpret_cast<float*>(given_keys(h, value) + d_.K); }
  // Rows of a chunk from the tokens' list and back to it.
  void take(const float* list, const Sequence& s, const Step& now, float* rows) const {
    for (int64_t i = 0; i < d_.C; i++) rows[i] = i < now.rows ? list[s.token(now.t + i) - s.first] : 0;
  }
  void keep(const float* rows, const Step& now, float* list) const { std::copy_n(rows, now.rows, list + now.t); }

  // Of gates, gate_gradients.cpp.
  //
  // What the kernels want of a chunk's gates, and the rows of those of each key.
  Worker::Rows fill_gates(const Gradient& g, const Sequence& s, const Step& now, int64_t head) const;
  // Row by row as they are walked. Back, each token has the gate of the one after it, as below; but where queries lag,
  // a token's own gate stands between it and what later ones gave.
  Worker::Rows gate_rows(const Sequence& s, const Step& now, int64_t head) const;
  // A token's gate stands between it and the one before: walking back, each token has that of the one after it.
  void fill_gate_forth(const Step& now, int64_t head) const;
  void fill_gate_back(const Step& now, int64_t head) const;
  // Of n tokens from t on, counted from the sequence's first.
  void load_log_decays(int64_t h, int64_t t, int64_t n, int64_t head, float* out) const;
  // What the first token leaves of the state that came in, for each key: its gate stands between the two. Where queries
  // lag it was walked over.
  void first_left(int64_t h, int64_t value, float* left) const;
  void keep_products(const Gradient& g, const Step& now, int64_t value, const Tile& q, const Worker::Room& dq) const;
  // What the gradients of the last state give to every gate: the products of the one with the other.
  void give_last_state(int64_t h, int64_t value) const;
  // What a token's key gives to its own query by the bonus.
  void add_own(const Gradient& g, const Step& now, int64_t query, const Rows& rows, const Tile& out, bool first) const;
  // Of dg_t, the sum over this token and later ones of q . dq - k . dk, and what the last state gives to all.
  void finish_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys, const Worker::Room& dk) const;
  void finish_key_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys,
                        const Worker::Room& dk) const;
  // A gate above 0 that counts as 0 moves nothing.
  bool clamped(int64_t token, int64_t head) const;

  // Of steps and what stands around the scan with them, step_gradients.cpp.
  //
  // Outputs are needed once more; the values stay the ones that are turned.
  void finish_out_gates(const Gradient& g, const Step& now, int64_t l, const Rows& rows) const;
  // What the outputs of a value give it past the recurrence.
  void add_skipped(const Gradient& g, const Tile& out, bool first) const;
  // dv of values by their steps becomes that of the values, and what each step is given by it is kept.
  void take_steps(const Gradient& g, const Step& now, int64_t value, const Worker::Room& dv) const;
  // From the gradients of the log decays to those of the steps that they are made of, DECAY and DT_BIAS.
  void finish_steps(const Gradient& g, const Step& now, int64_t value, const float* of_decays) const;

  // Of the delta rule, delta_gradients.cpp.
  //
  // Of a chunk that a walk meets, counted from the last: by how much values differed from what the state had for their
  // keys, in rows as the walk back takes them; and the state that entered, transposed.
  float* differences(int64_t h, int64_t value, int64_t chunk) const {
    return w_.at(b_.differences) + ((h * group_.values() + value) * chunks_ + chunk) * d_.C * d_.V;
  }
  float* entered(int64_t h, int64_t value, int64_t chunk) const {
    return w_.at(b_.entered) + ((h * group_.values() + value) * chunks_ + chunk) * d_.K * d_.V;
  }
  // What the state takes in place of the values of one head, of the chunk at hand.
  float* taken(int64_t value) const { return w_.at(b_.taken) + value * d_.C * d_.V; }
  // The betas of a chunk, in the order of the walk.
  const float* betas(const Sequence& s, const Step& now, int64_t head) const;
  // Values less what the keys read of the state, and of what the rule makes earlier rows of the walk add to it.
  Tile differences_of(const Gradient& g, const Tile& keys, const float* beta, const Tile& values,
                      const float* state) const;
  // Forth: taken(), and what is kept of the chunk. Back: the same rows.
  void correct(const Gradient& g, const Step& now, const Tile& keys, int64_t value) const;
  Tile taken_back(const Gradient& g, const Step& now, int64_t value) const;
  // dv and dk are those of the plain scan of rows.v, and become those of the rule; but a gate counts what a key takes
  // away with another sign, so that dk awaits finish_keys() behind those of the gates.
  void correct_back(const Gradient& g, const Step& now, int64_t value, const Rows& rows, const Worker::Room& dv,
                    const Worker::Room& dk) const;
  void finish_keys(const Gradient& g, const Rows& rows, const Worker::Room& dv, const Worker::Room& dk) const;
  // The gates of a chunk of the walk back, as tokens come.
  void fill_gates_forth(const Gradient& g, const Step& now, int64_t head) const;

  const Sequence back_;
  const int64_t chunks_;  // that all the tokens of a row of the batch may be
};

}  // namespace lathe
