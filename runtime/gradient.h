// The steps that gradients of a chunk are made of, on the worker's tiles. docs/operators.md has the formulas.
#pragma once

#include <cmath>
#include <optional>

#include "ahead.h"
#include "key_gates.h"
#include "momentum.h"

namespace lathe {

// After the units of a gradient: the parts of all sequences meet, in order.
void sum_parts(const Plan& plan, const Problem& problem, float* shared);

// A chunk of rows of some width.
struct Tile {
  const float* data;
  int64_t stride, width;
};

class Gradient {
 public:
  Gradient(Worker& worker, const Sequence& s)
      : w_(worker), s_(s), plan_(worker.plan()), p_(worker.problem()), d_(plan_.padded), b_(worker.layout().backward) {
    if (plan_.meaning.variant->keyed()) key_gates_.emplace(worker);
    if (plan_.meaning.variant->moves()) momentum_.emplace(worker);
  }

  // The tiles of a chunk: the worker's, or the caller's own rows.
  Tile queries(const Step& step, int64_t head) const {
    return tile(w_.map_rows(LATHE_Q, step, s_, head, 0, w_.q()), d_.K);
  }
  // `before` as in Worker::map_rows().
  Tile keys(const Step& step, int64_t head, float before) const {
    return tile(w_.map_rows(LATHE_K, step, s_, head, before, w_.k()), d_.K);
  }
  // Each by its token's step or weight, where they have such: those are then loaded.
  Tile values(const Step& step, int64_t head) const;
  Tile raw_values(const Step& step, int64_t head) const;
  // Steps of n tokens, `apart` tokens from one to the next.
  void load_steps(int64_t token, int64_t apart, int64_t n, int64_t head) const;
  // The gradient of what OUT_GATE is applied to; and of rows before they were divided, where `by` is given.
  Tile outputs(const Step& step, int64_t head) const;
  Tile weighed(const Tile& outputs, const float* by) const;

  // Log gates of a head, a row of them for each token, where each key dimension has one: what follows decays by them.
  void take_gates(const Worker::Rows& gates, int64_t head) const { key_gates_->take_gates(gates, head); }
  // Rows of keys, or of queries in their place, whose dimensions have those gates.
  void take_keys(const Tile& k) const {
    if (key_gates_) key_gates_->take_keys({k.data, k.stride});
  }
  // The same of the momentum of a head's state, for the tokens of a step.
  void take_momentum(const Step& step, int64_t head) const {
    if (momentum_) momentum_->take(s_, head, step.rows);
  }
  // Rows with a column for each token, which attend() then reads until others are turned.
  void turn(const Tile& k) const;
  // out = q h + tril(q k^T) v, with the decays of the worker's gate; k was turned. Where each key dimension has a gate,
  // v are the keys that were taken.
  void attend(const Tile& q, const Tile& v, const float* h, const Worker::Room& out) const;
  // The same with gates in the sums over q's columns, k being the keys that were taken.
  void attend_by_keys(const Tile& q, const Tile& k, const Tile& v, const float* h, const Worker::Room& out) const;
  // h = h + k^T v, with the same decays; where each key has a gate, of the keys that were taken. `between` as in
  // in_blocks_of_keys().
  template <typename Between>
  void advance(const Tile& k, const Tile& v, float* h, Between between) const {
    in_blocks_of_keys(k.width, between, [&](int64_t first, int64_t keys) {
      advance_from(k, {first, keys}, v, h + first * v.width, h + first * v.width);
    });
  }
  void advance(const Tile& k, const Tile& v, float* h) const { advance_from(k, {0, k.width}, v, h, h); }
  // Again, for a state that has decayed already.
  void advance_further(const Tile& k, const Tile& v, float* h) const;
  // Of the delta rule: values less what the keys read of the state, if there is one, and of what earlier rows of the
  // chunk add to it by `met`, the keys by their betas.
  Tile differences(const Tile& keys, const Tile& met, const Tile& values, const float* state) const;
  // out = q h.
  void read_out(const Tile& q, const float* h, const Worker::Room& out, int64_t width) const;
  // Rows z_i = exp(g_i) z_{i-1} + k_i, as token i sees them; the last one is the next z. `gates` as they were taken.
  void running_sums(const Tile& k, const Worker::Rows& gates, float* z, float* rows) const;
  void key_sum(const Tile& k, float* z) const;
  void denominators(const Tile& q, const Tile& z, float* inv) const {
    w_.denominators({q.data, q.stride}, {z.data, z.stride}, d_.K, d_.C, inv);
  }
  // Row by row: x . y; by x; x += by more; x += by y z.
  void dots(const Tile& x, const Worker::Room& y, float* out) const;
  void weigh(const Tile& x, const float* by, const Worker::Room& out) const;
  void add(const Worker::Room& x, const Tile& more, const float* by) const;
  void add_products(const Worker::Room& x, const Tile& y, const Tile& z, const float* by) const;
  // sum += the rows of x.
  void sum_rows(const Tile& x, float* sum) const;
  const float* ones() const { return w_.at(b_.ones); }

  // What a denominator's gradient is, of each row: -(q . dq) / (q . z + eps), or nothing where eps took its place.
  // `dots` becomes it.
  void denominator_gradients(const float* inv, float* dots) const;

  // Where the gradient of mapped rows may be made: `room`, or where it belongs, if the map is none.
  Worker::Room room_for_mapped(uint32_t role, const Step& step, int64_t head, float* room) const {
    if (!w_.as_it_is(role)) return {room, d_.K};
    return w_.room_for(gradient_of(role), step, s_, head, d_.K, room);
  }
  // From it to the gradients of the caller's rows and of the projection. `mapped` is read where it was made units.
  void finish_mapped(uint32_t role, const Step& step, int64_t head, int64_t key_head, const Worker::Room& dy,
                     const Tile& mapped) const;
  Worker::Room room_for_values(const Step& step, int64_t head, float* room) const {
    return w_.room_for(gradient_of(LATHE_V), step, s_, head, d_.V, room);
  }
  void finish_values(const Step& step, int64_t head, const Worker::Room& dv) const {
    store(LATHE_V, step, head, dv, p_.sizes.V);
  }
  // A number for each token: of GATE or DT.
  void finish_tokens(uint32_t role, const Step& step, int64_t head, const float* gradients) const;
  // From the outputs of the recurrence, which are lost, to the gradients of their gates.
  void finish_out_gates(const Step& step, int64_t head, int64_t value_head, const Worker::Room& o) const;
  // x += SKIP v.
  void add_skip(const Worker::Room& x, const Tile& v, int64_t head) const;
  // The same of gates for each key dimension, from rows of q dq, k and dk; `own` and `later` as KeyGates has them.
  void key_gate_rows(const float* products, int64_t stride, const Tile& keys, const Worker::Room& dk,
                     const Worker::Rows& own, double* later, float* rows) const {
    key_gates_->gradients(products, stride, {keys.data, keys.stride}, {dk.data, dk.stride}, own, later, rows);
  }
  void finish_key_gates(const Step& step, int64_t head, const float* rows) const {
    store(LATHE_GATE, step, head, {const_cast<float*>(rows), d_.K}, p_.sizes.K);
  }

  // A [K,V] state, and the same transposed; its momentum as well.
  void transpose_state(const float* state, float* transposed) const;
  static Tile rows_of(const float* data, int64_t width) { return {data, width, width}; }
  static Tile rows_of(const Worker::Room& room, int64_t width) { return {room.data, room.stride, width}; }

 private:
  void advance_from(const Tile& k, const Columns& keys, const Tile& v, const float* h, float* h_out) const;
  static Tile tile(const Worker::Rows& rows, int64_t width) { return {rows.data, rows.stride, width}; }
  bool gated() const { return plan_.meaning.gated(); }
  void store(uint32_t role, const Step& step, int64_t head, const Worker::Room& from, int64_t columns,
             int64_t key = 0) const;
  // dy of rows over their length, y, becomes that of the rows before.
  void through_lengths(uint32_t role, const Tile& y, const Worker::Room& dy) const;
  // dx += what comes through the projection, whose own gradient takes its part.
  void through_projection(uint32_t role, const Worker::Rows& x, const Worker::Room& dx, int64_t head,
                          int64_t key_head) const;
  // finish_mapped() where tokens have several keys: to those and to what they weigh.
  void finish_mixture(const Step& step, int64_t head, const Worker::Room& dy) const;
  void give_weight(int64_t head, int64_t key, const Step& step, const Tile& x, const Worker::Room& dx) const;
  Buffer gate() const { return {w_.gate(), d_.C, 2, d_.C}; }

  Worker& w_;
  const Sequence& s_;
  const Plan& plan_;
  const Problem& p_;
  const Padded& d_;
  const BackwardLayout& b_;
  std::optional<KeyGates> key_gates_;
  std::optional<Momentum> momentum_;
};

// What walks over the heads of a unit share: its tiles begin as they must, and rows that belong to no token are zero.
class GradientWalk {
 public:
  GradientWalk(Worker& worker, const Unit& unit);

 protected:
  bool normalise() const { return plan_.meaning.normalise(); }
  size_t carried(int64_t h) const { return static_cast<size_t>(h); }
  int64_t key_head(int64_t h) const { return unit_.head + h; }
  int64_t value_head(int64_t h, int64_t value) const { return group_.head(p_.sizes.HV, key_head(h), value); }
  int64_t query_head(int64_t h, int64_t query) const { return group_.head(p_.sizes.HQ, key_head(h), query); }
  int64_t output_head(int64_t h, int64_t l) const { return group_.head(p_.sizes.out_heads(), key_head(h), l); }
  // The stabiliser's maximum after each token of a key head, once keys_forth() has met it, and the one before it.
  bool stabilise() const { return plan_.meaning.stabilise(); }
  float* peaks(int64_t h) const { return w_.at(b_.peaks) + h * p_.sizes.Tk; }
  float peak_before(int64_t h, int64_t t) const;
  // Mapped keys, as tokens come.
  Tile keys_forth(const Gradient& g, const Step& now) const;
  // Log of what the maximum leaves, as it rises at token t, of all that was there; and what some tokens leave of the
  // state that came in. Before the first key that is nothing, whatever stands there.
  float fallen(int64_t h, int64_t t) const { return stabilise() ? peak_before(h, t) - peaks(h)[t] : 0; }
  float left_of_state(int64_t h, int64_t tokens) const;
  bool entered(int64_t h) const { return !stabilise() || !std::isinf(w_.entering_peak(forth_, key_head(h))); }
  void load_state(int64_t h, int64_t value, float* to) const;
  void load_z(int64_t h) const;
  // Asks memory for rows of a coming step, if this is the head's first time round.
  auto asking(const Sequence& s, const Step& next, bool once, std::initializer_list<uint32_t> roles) const {
    return [ahead = Ahead(w_, s, next, key_head(next.head), once ? roles : std::initializer_list<uint32_t>{})](
               int64_t part, int64_t parts) mutable { ahead.ask(part, parts); };
  }

  Worker& w_;
  const Plan& plan_;
  const Problem& p_;
  const Padded& d_;
  const BackwardLayout& b_;
  const Unit& unit_;
  const Group group_;
  const int64_t queries_;  // of a key head
  const Sequence forth_;   // as its tokens come

 private:
  void zero_padding() const;
};

}  // namespace lathe
