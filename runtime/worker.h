// What one worker needs to turn tokens into tiles and tiles into outputs: its scratch, and the steps of a chunk.
#pragma once

#include <cstddef>
#include <limits>

#include "carver.h"
#include "halide_call.h"
#include "sequences.h"

namespace lathe {

// What a gradient needs besides: offsets as in Layout.
struct BackwardLayout {
  size_t o, dq, dk, dv, dx, du, sums, weighed, x, narrow, zeros, part, ones, turned, row, tokens, given, products, own,
      skipped, differences, entered, taken, betas, peaks;
};

// Scratch is constant in T, but for a few numbers that a gradient keeps of each token. Offsets are bytes, 64-byte
// aligned.
struct Layout {
  size_t staged, projected, mixed, weights, peaks, query_peaks, lengths, q, k, kt, v, o, inv, gate, dt, raw, key_gates,
      token_gates, recurrence, delta, momentum, narrow, states, total;
  size_t state_stride, z, heads;  // one key head's states and z, and where among them z is; how many heads are carried
  BackwardLayout backward;
};
// How many states a worker carries for each value head: a gradient walks with one and its transposed.
inline int64_t states_of_value(const Plan& plan) { return plan.meaning.op->backward() ? 2 : 1; }
Layout worker_layout(const Plan& plan, const Problem& problem);
// What workers share, in floats from the start of the workspace: projections as their map wants them, transposed and
// padded, and padded as they come; and sums that meet over sequences, a part for each sequence.
struct Shared {
  size_t projection, rows, heads, bonuses, mixtures, projections, total;
};
// Numbers of a head that gradients sum over sequences: by DECAY, DT_BIAS and SKIP.
constexpr int64_t kNumbersOfHeads = 3;
Shared shared_layout(const Plan& plan, const Problem& problem);
void fill_projection(const Plan& plan, const Problem& problem, float* shared);

// A stretch of key heads of one sequence.
struct Unit {
  int64_t sequence, head, heads;
};

// Whether rows so far apart fit the 32-bit indices of kernels.
inline bool near(int64_t stride, int64_t rows) { return stride >= 0 && stride * rows < (int64_t{1} << 30); }
inline bool near_either_way(int64_t stride, int64_t rows) { return near(std::abs(stride), rows); }

// Columns of the values, and so of states and outputs: none of them depends on another.
struct Columns {
  int64_t first, count;
};

// Keys of a state that a kernel advances at a time. visit(first, keys) for each block; before it between(part, parts):
// a place to ask memory for what comes next. Asked for at once, it would stall where it is asked for.
template <typename Between, typename Visit>
void in_blocks_of_keys(int64_t keys, Between between, Visit visit) {
  constexpr int64_t block = 16;
  const int64_t parts = (keys + block - 1) / block;
  for (int64_t part = 0; part < parts; part++) {
    between(part, parts);
    visit(part * block, std::min(block, keys - part * block));
  }
}

class Worker {
 public:
  Worker(const Plan& plan, const Problem& problem, const Layout& layout, float* shared, char* scratch)
      : plan_(plan), p_(problem), layout_(layout), shared_(shared), scratch_(scratch) {}

  // A chunk of rows, padded: scratch, or the caller's own memory where that is what they already are.
  struct Rows {
    const float* data;
    int64_t stride;
  };
  // Mapped rows of Q or K from token t of a head on; y is room for them. A stabilised call also keeps what it
  // subtracts: of keys the largest projection so far, in peaks(), `before` the one that enters; of queries that of the
  // row.
  Rows map_rows(uint32_t role, const Step& step, const Sequence& s, int64_t head, float before, float* y);
  void transpose(const Rows& k, float* kt) const;
  // One row for each of `heads` heads of a single token.
  void map_token(uint32_t role, const Sequence& s, int64_t t, int64_t head, int64_t heads, float before, float* y);
  // Whether rows are sums over the keys of each token.
  bool mixes(uint32_t role) const { return role == LATHE_K && p_.mixes(); }
  // ... of the keys as they come, and not of their features.
  bool mixes_first() const { return plan_.meaning.mixes_first() || plan_.meaning.map->identity(); }
  // A chunk of such rows before the map, in y, padded to the head width.
  Rows mixed_keys(const Step& step, const Sequence& s, int64_t head, float* y);
  // One key of each token as it is, and its features.
  Rows key_rows(const Step& step, const Sequence& s, int64_t head, int64_t key, float* to) {
    return rows_at(LATHE_K, p_[LATHE_K].at(s.batch, s.token(step.t), head, 0, key), step, s, plan_.padded.D, to);
  }
  Rows key_features(const Step& step, const Sequence& s, int64_t head, int64_t key, float* y);
  // Whether rows of Q or K are already what their map makes of them.
  bool as_it_is(uint32_t role) const {
    const Meaning& meaning = plan_.meaning;
    return meaning.map->identity() && !meaning.unit(role) && !mixes(role) && (role == LATHE_K || meaning.scale == 1);
  }
  // One over what `rows` outputs are divided by; K is a multiple of 16. Rows that share a normaliser: a stride of 0.
  void denominators(const Rows& q, const Rows& z, int64_t K, int64_t rows, float* inv) const;
  // Whether those rows already lie in the caller's tensor, as heads_of() gives them, and need no map_token.
  bool token_in_place(uint32_t role, int64_t heads) const;
  // Rows of a token's heads, `apart` heads from one to the next.
  Rows heads_of(uint32_t role, const Sequence& s, int64_t t, int64_t head, int64_t apart) const {
    const Tensor& x = p_[role];
    return {x.floats(s.batch, s.first + t, head), x.stride[2] * apart};
  }
  // The same for values, padded to `width`: the caller's own, or copies in v().
  Rows value_heads(const Sequence& s, int64_t t, int64_t head, int64_t apart, int64_t heads, int64_t width);
  // As float32; columns are neighbours.
  void widen(Storage storage, const char* from, int64_t stride, int64_t rows, int64_t columns, float* to,
             int64_t to_stride);
  // n steps of tokens or heads, with `bias` for each, into dt(), and zeros for the rest of a chunk. Where there are
  // steps.
  void load_steps(const char* from, int64_t stride, const Strided& bias, int64_t n);
  // What the values of a step of a head count, into dt(): their steps, or how far they are from the sequence's end.
  void load_weights(const Sequence& s, const Step& step, int64_t head);
  // Of one token, `after` which that many are to come, where that is what counts: for `heads` state heads from `head`
  // on, which are `apart`.
  void load_weights(int64_t after, int64_t head, int64_t apart, int64_t heads);
  // Each row by its step or weight, in v(). Where there are such.
  Rows weigh(const Rows& rows, int64_t width, int64_t n);
  // What comes after the recurrence, in some columns of rows of outputs: SKIP, then OUT_GATE.
  void finish(const Sequence& s, int64_t t, int64_t rows, int64_t output_head, int64_t value_head, float* o,
              int64_t stride, Columns columns);
  Rows values(const Sequence& s, int64_t t, int64_t rows, int64_t head, float* v) {
    return unmapped(LATHE_V, {t, rows, 0}, s, head, plan_.padded.V, v);
  }
  // A chunk of rows as they are, in float32 and padded to `width`; `to` is room for them.
  Rows unmapped(uint32_t role, const Step& step, const Sequence& s, int64_t head, int64_t width, float* to);
  // Rows that kernels write: the caller's own, where they are what a kernel makes, else `room`.
  struct Room {
    float* data;
    int64_t stride;
  };
  Room room_for(uint32_t role, const Step& step, const Sequence& s, int64_t head, int64_t width, float* room) const;
  // dx from the gradient dy of the mapped rows x of a chunk, all padded; of a projected map also du, and dx lacks what
  // comes through it. A stabilised call reads what was subtracted, that of keys in peaks().
  void map_backward(uint32_t role, const Step& step, const Sequence& s, int64_t head, const Rows& x, const Rows& dy,
                    float* du, const Room& dx) {
    map_backward(map_call(role, step, s, head, 0), x, dy, du, dx);
  }
  // The same of one key of each token.
  void key_backward(const Step& step, const Sequence& s, int64_t head, int64_t key, const Rows& x, const Rows& dy,
                    float* du, const Room& dx) {
    MapCall m = map_call(LATHE_K, step, s, head, 0);
    m.scale = *p_[LATHE_MIXTURE].floats(head, key);
    map_backward(m, x, dy, du, dx);
  }
  // Where a kernel may write `rows` output rows of width padded V; store() then brings them to the tensor.
  float* output_rows(char* to, int64_t rows, int64_t& stride);
  void store(const float* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows) {
    store(from, from_stride, to, to_stride, rows, {0, p_.sizes.V});
  }
  void store(const float* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows, Columns columns) {
    store(p_[LATHE_O].storage, from, from_stride, to, to_stride, rows, real(columns), at(layout_.narrow));
  }
  // Columns that are not padding. `narrow` is room for the rows, in 16 bits.
  void store(Storage storage, const float* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
             Columns columns, float* narrow);
  // Of the heads of a unit: outputs past the sequence's length; states and normalisers from and to the caller's
  // tensors.
  void zero_outputs(const Sequence& s, const Unit& unit);
  void load(const Sequence& s, const Unit& unit);
  void save(const Sequence& s, const Unit& unit) { save(s, unit, {0, p_.sizes.V}); }
  // The normaliser and the stabiliser go with the first column.
  void save(const Sequence& s, const Unit& unit, const Columns& columns);

  float* q() { return at(layout_.q); }
  float* k() { return at(layout_.k); }
  float* kt() { return at(layout_.kt); }
  float* v() { return at(layout_.v); }
  float* o() { return at(layout_.o); }
  float* peaks() { return at(layout_.peaks); }
  float* inv() { return at(layout_.inv); }
  // One over the lengths of mapped rows of Q or K, times their scale, where those are made units.
  float* lengths(uint32_t role) { return at(layout_.lengths) + (role == LATHE_K ? plan_.padded.C + 16 : 0); }
  float* gate() { return at(layout_.gate); }
  const float* dt() { return at(layout_.dt); }
  float* key_gates() { return at(layout_.key_gates); }
  float* token_gates() { return at(layout_.token_gates); }
  float* recurrence() { return at(layout_.recurrence); }
  float* raw() { return at(layout_.raw); }  // for values as they come, where there are steps
  float* delta() { return at(layout_.delta); }
  float* momentum() { return at(layout_.momentum); }
  float* state(size_t carried, int64_t value) {
    return at(layout_.states + carried * layout_.state_stride) + value * plan_.state_floats();
  }
  float* z(size_t carried) { return at(layout_.states + carried * layout_.state_stride + layout_.z); }
  float& peak(size_t carried) { return *(z(carried) + plan_.padded.K); }
  // The stabiliser's maximum that comes with the state of a key head: -inf before its first key.
  float entering_peak(const Sequence& s, int64_t key_head) const {
    const Tensor& stabiliser = p_[LATHE_STABILISER];
    return stabiliser.present() ? *stabiliser.floats(s.state, key_head) : -std::numeric_limits<float>::infinity();
  }

  // Between the caller's [K,V] and the padded copy. `from` or `to` absent: zero, or nothing.
  void load_state(const Tensor& from, int64_t row, int64_t head, float* to);
  void save_state(const float* from, const Tensor& to, int64_t row, int64_t head) {
    save_state(from, to, row, head, {0, p_.sizes.V});
  }
  void save_state(const float* from, const Tensor& to, int64_t row, int64_t head, Columns columns);
  // A state with its momentum, if it has one.
  void load_states(uint32_t state, uint32_t momentum, int64_t row, int64_t head, float* to);
  void save_states(const float* from, uint32_t state, uint32_t momentum, int64_t row, int64_t head, Columns columns);
  // What lies behind it of the last token, where a momentum adapts to its tokens.
  void load_last(int64_t row, int64_t head, float* state);
  void save_last(float* state, int64_t row, int64_t head);
  void load_z(const Tensor& from, int64_t row, int64_t head, float* to) const;
  void save_z(const float* from, const Tensor& to, int64_t row, int64_t head) const;

  float* at(size_t offset) { return reinterpret_cast<float*>(scratch_ + offset); }
  float* shared() const { return shared_; }
  // The projection of a head, transposed.
  const float* projection(int64_t head) const {
    return p_[LATHE_PROJECTION].rank == 3 ? shared_ + head * plan_.padded.D * plan_.padded.M : shared_;
  }
  // The same as it comes, [M,D].
  const float* projection_rows(int64_t head) const { return projection(head) + shared_layout(plan_, p_).rows; }
  const Plan& plan() const { return plan_; }
  const Problem& problem() const { return p_; }
  const Layout& layout() const { return layout_; }

 private:
  // The part of the columns that is not padding.
  Columns real(const Columns& columns) const {
    return {columns.first, std::clamp<int64_t>(p_.sizes.V - columns.first, 0, columns.count)};
  }
  struct MapCall {
    int64_t rows, head, position;
    int64_t step;  // from the position of a row to that of the next: none where they are the heads of one token
    bool keys;
    float scale, before;
  };
  struct MapArguments;
  // Those of keys outlast queries, which come between the values of a key head.
  float* peaks_of(const MapCall& m) { return at(m.keys ? layout_.peaks : layout_.query_peaks); }
  MapCall map_call(uint32_t role, const Step& step, const Sequence& s, int64_t head, float before) const {
    const bool keys = role == LATHE_K;
    return {step.rows, head, s.position_of(step.t), s.step, keys, scale_of(role), before};
  }
  // Of what a map makes; units are scaled when they are.
  float scale_of(uint32_t role) const { return role == LATHE_K || plan_.meaning.unit(role) ? 1 : plan_.meaning.scale; }
  void mix_rows(const Step& step, const Sequence& s, int64_t head, float* y);
  void mix_token(const Sequence& s, int64_t t, int64_t tile_rows, const MapCall& m, float* y);
  // Mapped rows of Q or K, each over its length where that is asked for.
  void make_units(uint32_t role, int64_t rows, float* y);
  // What a map reads: the caller's own rows where it can, else copies.
  struct Staged {
    const void* data;
    Storage storage;
    int64_t stride;
  };
  Staged stage(const Tensor& x, const char* from, int64_t stride, int64_t rows, int64_t tile_rows);
  // Rows and columns, padded with zeros to `tile_rows` and `width`.
  const float* copy(Storage storage, const char* from, int64_t stride, int64_t rows, int64_t columns, float* to,
                    int64_t width, int64_t tile_rows);
  void map(const Staged& x, int64_t tile_rows, const MapCall& m, float* y);
  void map_backward(const MapCall& m, const Rows& x, const Rows& dy, float* du, const Room& dx);
  Rows rows_at(uint32_t role, const char* from, const Step& step, const Sequence& s, int64_t width, float* to);
  // y = the sum over the keys of `rows` tokens of one head, or, where heads are `apart`, of heads of one token, of what
  // make(key, to) has of them.
  template <typename Make>
  void mix(int64_t rows, int64_t head, int64_t apart, int64_t width, float* y, Make make);
  // Rows of an option: the caller's own, or copies.
  Rows option_rows(const Tensor& x, const char* from, int64_t rows);
  // Whether a chunk of rows can be read where it lies; `far` rows too where they are read once.
  bool in_place(const Tensor& x, int64_t rows, int64_t padded, bool far = false) const;

  const Plan& plan_;
  const Problem& p_;
  const Layout& layout_;
  float* shared_;
  char* scratch_;
};

}  // namespace lathe
