#include "worker.h"

#include <cmath>
#include <cstring>

#include "momentum.h"

namespace lathe {

void Worker::widen(Storage storage, const char* from, int64_t stride, int64_t rows, int64_t columns, float* to,
                   int64_t to_stride) {
  const int64_t bulk = columns / 16 * 16;
  if (storage == Storage::kF32) {
    for (int64_t i = 0; i < rows; i++)
      std::memcpy(to + i * to_stride, from + i * stride * 4, static_cast<size_t>(columns) * 4);
    return;
  }
  const Entry& kernel = *plan_.kernels.widen[static_cast<int>(storage)];
  if (bulk > 0) {
    // one row at a time where a stride does not fit the kernels' 32 bits
    const bool together = near(stride, rows);
    for (int64_t i = 0; i < rows; i += together ? rows : 1) {
      Buffer x(from + i * stride * 2, storage, bulk, together ? rows : 1, together ? stride : 0),
          y(to + i * to_stride, bulk, together ? rows : 1, to_stride);
      call(kernel, x, y);
    }
  }
  if (bulk == columns) return;
  alignas(64) uint16_t tail[16] = {};
  alignas(64) float wide[16];
  for (int64_t i = 0; i < rows; i++) {
    std::memcpy(tail, from + (i * stride + bulk) * 2, static_cast<size_t>(columns - bulk) * 2);
    Buffer x(tail, storage, 16, 1, 16), y(wide, 16, 1, 16);
    call(kernel, x, y);
    std::memcpy(to + i * to_stride + bulk, wide, static_cast<size_t>(columns - bulk) * 4);
  }
}

Worker::Staged Worker::stage(const Tensor& x, const char* from, int64_t stride, int64_t rows, int64_t tile_rows) {
  const Padded& w = plan_.padded;
  const bool whole = rows == tile_rows && p_.sizes.D == w.D && near_either_way(stride, rows);
  const bool plain = plan_.sizes.K == plan_.sizes.D;  // maps of several parts read a little past a row
  const Entry* reads_it = plan_.kernels.map_from[static_cast<int>(x.storage)];
  if (whole && plain && reads_it && rows % reads_it->row_grain == 0) return {from, x.storage, stride};
  return {copy(x.storage, from, stride, rows, p_.sizes.D, at(layout_.staged), w.D, tile_rows), Storage::kF32, w.D};
}

const float* Worker::copy(Storage storage, const char* from, int64_t stride, int64_t rows, int64_t columns, float* to,
                          int64_t width, int64_t tile_rows) {
  if (columns < width)
    for (int64_t i = 0; i < rows; i++)
      std::memset(to + i * width + columns, 0, static_cast<size_t>(width - columns) * 4);
  widen(storage, from, stride, rows, columns, to, width);
  if (rows < tile_rows) std::memset(to + rows * width, 0, static_cast<size_t>((tile_rows - rows) * width) * 4);
  return to;
}

// The arguments of a map's kernels, which begin alike.
struct Worker::MapArguments {
  MapArguments(const Worker& w, const MapCall& m, Buffer& x, Buffer& weights)
      : width(static_cast<int32_t>(w.p_.sizes.D)),
        features(static_cast<int32_t>(w.p_.sizes.M)),
        rows(static_cast<int32_t>(m.rows)),
        position(static_cast<int32_t>(m.position)),
        step(static_cast<int32_t>(m.step)),
        subtract(!w.plan_.meaning.stabilise() ? 0
                 : m.keys                     ? 2
                                              : 1),
        scale(m.scale),
        attribute(static_cast<float>(w.plan_.meaning.attribute)),
        before(m.before) {
    add(x), add(weights), add(width), add(features), add(rows), add(position), add(step), add(subtract), add(scale),
        add(attribute), add(before);
  }
  template <typename Argument>
  void add(Argument& argument) {
    argv[n++] = address_of(argument);
  }
  void* argv[16];
  size_t n = 0;

 private:
  int32_t width, features, rows, position, step, subtract;
  float scale, attribute, before;
};

void Worker::map(const Staged& staged, int64_t tile_rows, const MapCall& m, float* y_rows) {
  const Padded& w = plan_.padded;
  const Sizes& s = p_.sizes;
  const FeatureMap& map = *plan_.meaning.map;
  // a part that is not a whole row may read a block past one: staged rows have that much behind them
  const int64_t past = s.K == s.D || s.M > 0 ? 0 : 16;
  Buffer x(staged.data, staged.storage, w.D + past, tile_rows, staged.stride),
      weights(projection(m.head), w.M, w.D, w.M), u(at(layout_.projected), w.M, tile_rows, w.M);
  Buffer y(y_rows, w.K, tile_rows, w.K), peaks(peaks_of(m), tile_rows);
  MapArguments arguments(*this, m, x, weights);
  if (map.projects()) arguments.add(u);
  if (map.stabilises()) arguments.add(peaks);
  arguments.add(y);
  plan_.kernels.map_from[static_cast<int>(staged.storage)]->call(arguments.argv);
}

void Worker::map_backward(const MapCall& m, const Rows& x_rows, const Rows& dy_rows, float* du_rows,
                          const Room& dx_rows) {
  const Padded& w = plan_.padded;
  // past M the kernel finds the row after it, and of the last one what follows: what it makes of them nothing reads
  Buffer x(x_rows.data, w.D, w.C, x_rows.stride), weights(projection(m.head), w.M_back, w.D, w.M),
      dy(dy_rows.data, w.K, w.C, dy_rows.stride);
  Buffer u(at(layout_.projected), w.M_back, w.C, w.M_back), du(du_rows, w.M, w.C, w.M),
      dx(dx_rows.data, w.D, w.C, dx_rows.stride), peaks(peaks_of(m), w.C);
  MapArguments arguments(*this, m, x, weights);
  arguments.add(dy);
  if (plan_.meaning.map->stabilises()) arguments.add(peaks);
  if (plan_.meaning.map->projects()) arguments.add(u), arguments.add(du);
  arguments.add(dx);
  plan_.kernels.map_backward->call(arguments.argv);
}

// Rows far apart fall into few sets of the first-level cache, and a chunk reads each of them many times.
bool Worker::in_place(const Tensor& x, int64_t rows, int64_t padded, bool far) const {
  const bool close = x.stride[1] >= padded && x.stride[1] <= padded + padded / 4;
  return x.storage == Storage::kF32 && rows == plan_.padded.C && x.shape[3] == padded &&
         (close || (far && near(x.stride[1], rows)));
}

Worker::Rows Worker::map_rows(uint32_t role, const Step& step, const Sequence& s, int64_t head, float before,
                              float* y) {
  const Tensor& x = p_[role];
  const Padded& w = plan_.padded;
  const MapCall m = map_call(role, step, s, head, before);
  if (as_it_is(role)) return unmapped(role, step, s, head, w.K, y);
  if (mixes(role)) {
    mix_rows(step, s, head, y);
    make_units(role, w.C, y);
    return {y, w.K};
  }
  map(stage(x, x.at(s.batch, s.token(step.t), head), s.step * x.stride[1], step.rows, w.C), w.C, m, y);
  make_units(role, w.C, y);
  return {y, w.K};
}

template <typename Make>
void Worker::mix(int64_t rows, int64_t head, int64_t apart, int64_t width, float* y, Make make) {
  float* weights = at(layout_.weights);
  for (int64_t key = 0; key < p_.sizes.keys; key++) {
    const Rows made = make(key, key == 0 ? y : at(layout_.mixed));
    for (int64_t i = 0; i < rows; i++) weights[i] = *p_[LATHE_MIXTURE].floats(head + i * apart, key);
    Buffer x(made.data, width, rows, made.stride), by(weights, rows), sum(y, width, rows, width);
    if (key == 0)
      call(*plan_.kernels.weigh_rows, x, by, sum);
    else
      call(*plan_.kernels.add_rows, sum, x, by, sum);
  }
}

Worker::Rows Worker::mixed_keys(const Step& step, const Sequence& s, int64_t head, float* y) {
  mix(plan_.padded.C, head, 0, plan_.padded.D, y,
      [&](int64_t key, float* to) { return key_rows(step, s, head, key, to); });
  return {y, plan_.padded.D};
}

Worker::Rows Worker::key_features(const Step& step, const Sequence& s, int64_t head, int64_t key, float* y) {
  const Tensor& k = p_[LATHE_K];
  map(stage(k, k.at(s.batch, s.token(step.t), head, 0, key), s.step * k.stride[1], step.rows, plan_.padded.C),
      plan_.padded.C, map_call(LATHE_K, step, s, head, 0), y);
  return {y, plan_.padded.K};
}

void Worker::mix_rows(const Step& step, const Sequence& s, int64_t head, float* y) {
  const Padded& w = plan_.padded;
  if (!mixes_first())
    return mix(w.C, head, 0, w.K, y, [&](int64_t key, float* to) { return key_features(step, s, head, key, to); });
  if (plan_.meaning.map->identity()) {
    mixed_keys(step, s, head, y);
    return;
  }
  const Rows x = mixed_keys(step, s, head, at(layout_.staged));
  map({x.data, Storage::kF32, x.stride}, w.C, map_call(LATHE_K, step, s, head, 0), y);
}

void Worker::make_units(uint32_t role, int64_t rows, float* y) {
  if (!plan_.meaning.unit(role)) return;
  const float scale = role == LATHE_K ? 1 : plan_.meaning.scale;
  float* over = lengths(role);
  Buffer x(y, plan_.padded.K, rows, plan_.padded.K), by(over, rows);
  call(*plan_.kernels.row_dots, x, x, by);
  for (int64_t i = 0; i < rows; i++) {
    const float square = over[i] + plan_.meaning.eps;
    over[i] = square == 0 ? 0 : scale / std::sqrt(square);  // no direction stays none
  }
  call(*plan_.kernels.weigh_rows, x, by, x);
}

Worker::Rows Worker::unmapped(uint32_t role, const Step& step, const Sequence& s, int64_t head, int64_t width,
                              float* to) {
  return rows_at(role, p_[role].at(s.batch, s.token(step.t), head), step, s, width, to);
}

Worker::Rows Worker::rows_at(uint32_t role, const char* from, const Step& step, const Sequence& s, int64_t width,
                             float* to) {
  const Tensor& x = p_[role];
  // the recurrence reads rows a few at a time; where keys have gates, kernels make rows of their own of them, and of
  // values where those are corrected; and where tokens are walked, each row is read once
  const Variant& variant = *plan_.meaning.variant;
  const bool few = plan_.kernels.recurrence != nullptr || variant.adapts();
  const bool far = few || (role == LATHE_V ? variant.corrects() : variant.keyed() || mixes(role));
  if (in_place(x, step.rows, width, far)) return {reinterpret_cast<const float*>(from), s.step * x.stride[1]};
  return {copy(x.storage, from, s.step * x.stride[1], step.rows, x.shape[3], to, width, plan_.padded.C), width};
}

Worker::Room Worker::room_for(uint32_t role, const Step& step, const Sequence& s, int64_t head, int64_t width,
                              float* room) const {
  const Tensor& x = p_[role];
  const bool as_made = x.present() && x.storage == Storage::kF32 && x.shape[3] == width && step.rows == plan_.padded.C;
  if (!as_made || !near_either_way(x.stride[1], step.rows)) return {room, width};
  return {x.floats(s.batch, s.token(step.t), head), s.step * x.stride[1]};
}

void Worker::denominators(const Rows& q_rows, const Rows& z_rows, int64_t K, int64_t rows, float* inv_rows) const {
  Buffer q(q_rows.data, K, rows, q_rows.stride), z(z_rows.data, K, rows, z_rows.stride), inv(inv_rows, rows);
  float eps = plan_.meaning.eps;
  int32_t at_least = plan_.meaning.denom_max();
  call(*plan_.kernels.fixed_denominator, q, z, eps, at_least, inv);
}

void Worker::transpose(const Rows& k, float* kt) const {
  const Padded& w = plan_.padded;
  Buffer from(k.data, w.K, w.C, k.stride), to(kt, w.C, w.K, w.C);
  call(*plan_.kernels.transpose, from, to);
}

bool Worker::token_in_place(uint32_t role, int64_t heads) const {
  const Tensor& x = p_[role];
  return as_it_is(role) && x.storage == Storage::kF32 && p_.sizes.K == plan_.padded.K && near(x.stride[2], heads);
}

void Worker::map_token(uint32_t role, const Sequence& s, int64_t t, int64_t head, int64_t heads, float before,
                       float* y) {
  const Tensor& x = p_[role];
  const Padded& w = plan_.padded;
  const bool keys = role == LATHE_K, one_by_one = p_[LATHE_PROJECTION].rank == 3;
  const int64_t together = one_by_one ? 1 : std::min(heads, w.C), grain = plan_.kernels.map->row_grain;
  for (int64_t h = 0; h < heads; h += together) {
    const int64_t rows = std::min(together, heads - h);
    const int64_t tile_rows = (rows + grain - 1) / grain * grain;
    const MapCall m{rows, head + h, s.position + t, 0, keys, scale_of(role), before};
    float* to = y + h * w.K;
    if (mixes(role))
      mix_token(s, t, tile_rows, m, to);
    else
      map(stage(x, x.at(s.batch, s.first + t, head + h), x.stride[2], rows, tile_rows), tile_rows, m, to);
    make_units(role, rows, y + h * w.K);
  }
}

void Worker::mix_token(const Sequence& s, int64_t t, int64_t tile_rows, const MapCall& m, float* y) {
  const Tensor& k = p_[LATHE_K];
  const Padded& w = plan_.padded;
  const auto from = [&](int64_t key) { return k.at(s.batch, s.first + t, m.head, 0, key); };
  if (!mixes_first())
    return mix(m.rows, m.head, 1, w.K, y, [&](int64_t key, float* to) {
      map(stage(k, from(key), k.stride[2], m.rows, tile_rows), tile_rows, m, to);
      return Rows{to, w.K};
    });
  float* x = at(layout_.staged);
  std::memset(x, 0, static_cast<size_t>(tile_rows * w.D) * 4);
  mix(m.rows, m.head, 1, w.D, x, [&](int64_t key, float* to) {
    return Rows{copy(k.storage, from(key), k.stride[2], m.rows, p_.sizes.D, to, w.D, m.rows), w.D};
  });
  map({x, Storage::kF32, w.D}, tile_rows, m, y);
}

Worker::Rows Worker::value_heads(const Sequence& s, int64_t t, int64_t head, int64_t apart, int64_t heads,
                                 int64_t width) {
  const Tensor& x = p_[LATHE_V];
  if (x.storage == Storage::kF32 && width == p_.sizes.V) return heads_of(LATHE_V, s, t, head, apart);
  for (int64_t h = 0; h < heads; h++)
    std::memset(v() + h * width + p_.sizes.V, 0, static_cast<size_t>(width - p_.sizes.V) * 4);
  widen(x.storage, x.at(s.batch, s.first + t, head), x.stride[2] * apart, heads, p_.sizes.V, v(), width);
  return {v(), width};
}

void Worker::load_steps(const char* from, int64_t stride, const Strided& bias, int64_t n) {
  const Strided raw{from, stride, p_[LATHE_DT].storage};
  float* steps = at(layout_.dt);
  for (int64_t i = 0; i < n; i++) steps[i] = raw[i] + bias[i];
  std::fill(steps + n, steps + plan_.padded.C + 16, 0.f);
  if (plan_.meaning.softplus()) {
    Buffer x(steps, (n + 15) / 16 * 16), y(steps, (n + 15) / 16 * 16);
    call(*plan_.kernels.softplus, x, y);
    std::fill(steps + n, steps + plan_.padded.C + 16, 0.f);
  }
  for (int64_t i = 0; i < n && plan_.meaning.clamps(); i++) steps[i] = steps[i] < 0 ? 0 : steps[i];
}

void Worker::load_weights(const Sequence& s, const Step& step, int64_t head) {
  if (plan_.meaning.variant->steps()) {
    const Tensor& dt = p_[LATHE_DT];
    return load_steps(dt.at(s.batch, s.token(step.t), head), s.step * dt.stride[1], bias_of_steps(p_, head, 0),
                      step.rows);
  }
  const bool back = s.step < 0;
  WeightOfValue weight(plan_, p_, head, back ? step.t : s.queries - step.t - step.rows);
  float* weights = at(layout_.dt);
  for (int64_t i = 0; i < step.rows; i++) weights[back ? i : step.rows - 1 - i] = weight.next();
  std::fill(weights + step.rows, weights + plan_.padded.C + 16, 0.f);
}

void Worker::load_weights(int64_t after, int64_t head, int64_t apart, int64_t heads) {
  for (int64_t h = 0; h < heads; h++) at(layout_.dt)[h] = WeightOfValue(plan_, p_, head + h * apart, after).next();
}

Worker::Rows Worker::weigh(const Rows& rows, int64_t width, int64_t n) {
  Buffer x(rows.data, width, n, rows.stride), by(dt(), n), y(v(), width, n, width);
  call(*plan_.kernels.weigh_rows, x, by, y);
  return {v(), width};
}

Worker::Rows Worker::option_rows(const Tensor& x, const char* from, int64_t rows) {
  const int64_t V = plan_.padded.V;
  if (x.storage == Storage::kF32 && p_.sizes.V == V && near(x.stride[1], rows))
    return {reinterpret_cast<const float*>(from), x.stride[1]};
  return {copy(x.storage, from, x.stride[1], rows, p_.sizes.V, at(layout_.raw), V, rows), V};
}

void Worker::finish(const Sequence& s, int64_t t, int64_t rows, int64_t output_head, int64_t value_head, float* o,
                    int64_t stride, Columns columns) {
  const Tensor &skip = p_[LATHE_SKIP], &gate = p_[LATHE_OUT_GATE], &v = p_[LATHE_V];
  Buffer out(o + columns.first, columns.count, rows, stride);
  if (skip.present()) {
    const Rows values = option_rows(v, v.at(s.batch, s.first + t, value_head), rows);
    Buffer raw(values.data + columns.first, columns.count, rows, values.stride);
    float d = *skip.floats(value_head);
    call(*plan_.kernels.skip_rows, out, raw, d, out);
  }
  if (gate.present()) {
    const Rows gates = option_rows(gate, gate.at(s.batch, s.first + t, output_head), rows);
    Buffer z(gates.data + columns.first, columns.count, rows, gates.stride);
    call(*plan_.kernels.gate_rows, out, z, out);
  }
}

float* Worker::output_rows(char* to, int64_t rows, int64_t& stride) {
  const Tensor& o = p_[LATHE_O];
  const Padded& w = plan_.padded;
  if (o.storage == Storage::kF32 && rows == w.C && w.V == p_.sizes.V && near(o.stride[1], w.C)) {
    stride = o.stride[1];
    return reinterpret_cast<float*>(to);
  }
  stride = w.V;
  return at(layout_.o);
}

void Worker::store(Storage storage, const float* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
                   Columns columns, float* narrow_rows) {
  if (reinterpret_cast<const char*>(from) == to || columns.count == 0) return;
  const int64_t bytes = columns.count * size_of(storage);
  to += columns.first * size_of(storage);
  from += columns.first;
  const char* source = reinterpret_cast<const char*>(from);
  int64_t source_stride = from_stride * 4;
  if (storage != Storage::kF32) {
    const int64_t wide = (columns.count + 15) / 16 * 16;
    const Entry& kernel = *plan_.kernels.narrow[static_cast<int>(storage)];
    if (wide == columns.count && to_stride >= wide && near(to_stride, rows)) {
      Buffer x(from, wide, rows, from_stride), y(to, storage, wide, rows, to_stride);
      call(kernel, x, y);
      return;
    }
    char* narrow = reinterpret_cast<char*>(narrow_rows);
    Buffer x(from, wide, rows, from_stride), y(narrow, storage, wide, rows, wide);
    call(kernel, x, y);
    source = narrow;
    source_stride = wide * 2;
  }
  for (int64_t i = 0; i < rows; i++)
    std::memcpy(to + i * to_stride * size_of(storage), source + i * source_stride, static_cast<size_t>(bytes));
}

void Worker::zero_outputs(const Sequence& s, const Unit& unit) {
  const Tensor& o = p_[LATHE_O];
  const Group group{p_.sizes, plan_.meaning.tiled()};
  for (int64_t t = s.queries; t < s.queries + s.padding; t++)
    for (int64_t h = unit.head; h < unit.head + unit.heads; h++)
      for (int64_t l = 0; l < group.outputs(); l++)
        std::memset(o.at(s.batch, s.first + t, group.head(p_.sizes.out_heads(), h, l)), 0,
                    static_cast<size_t>(p_.sizes.V * size_of(o.storage)));
}

void Worker::load(const Sequence& s, const Unit& unit) {
  const Group group{p_.sizes, plan_.meaning.tiled()};
  for (int64_t h = 0; h < unit.heads; h++) {
    const size_t carried = static_cast<size_t>(h);
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(p_.sizes.state_heads(), unit.head + h, value);
      load_states(LATHE_STATE_IN, LATHE_MOMENTUM_IN, s.state, head, state(carried, value));
      load_last(s.state, head, state(carried, value));
    }
    load_z(p_[LATHE_Z_IN], s.state, unit.head + h, z(carried));
    peak(carried) = entering_peak(s, unit.head + h);
    // a state that no key has entered yet weighs nothing, whatever stands in it
    if (p_[LATHE_STABILISER].present() && std::isinf(peak(carried)))
      std::memset(state(carried, 0), 0, layout_.state_stride - 16 * sizeof(float));
  }
}

void Worker::save(const Sequence& s, const Unit& unit, const Columns& columns) {
  const Group group{p_.sizes, plan_.meaning.tiled()};
  for (int64_t h = 0; h < unit.heads; h++) {
    const size_t carried = static_cast<size_t>(h);
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(p_.sizes.state_heads(), unit.head + h, value);
      save_states(state(carried, value), LATHE_STATE_OUT, LATHE_MOMENTUM_OUT, s.state, head, columns);
      save_last(state(carried, value), s.state, head);
    }
    if (columns.first > 0) continue;
    save_z(z(carried), p_[LATHE_Z_OUT], s.state, unit.head + h);
    if (p_[LATHE_STABILISER].present()) *p_[LATHE_STABILISER].floats(s.state, unit.head + h) = peak(carried);
  }
}

void Worker::load_state(const Tensor& from, int64_t row, int64_t head, float* to) {
  const Padded& w = plan_.padded;
  const Sizes& s = p_.sizes;
  if (!from.present() || w.K != s.K || w.V != s.V) std::memset(to, 0, static_cast<size_t>(w.K * w.V) * 4);
  if (!from.present()) return;
  const float* in = from.floats(row, head);
  for (int64_t key = 0; key < s.K; key++) std::memcpy(to + key * w.V, in + key * s.V, static_cast<size_t>(s.V) * 4);
}

void Worker::save_state(const float* from, const Tensor& to, int64_t row, int64_t head, Columns columns) {
  columns = real(columns);
  if (!to.present() || columns.count == 0) return;
  float* out = to.floats(row, head) + columns.first;
  const Sizes& s = p_.sizes;
  from += columns.first;
  for (int64_t key = 0; key < s.K; key++)
    std::memcpy(out + key * s.V, from + key * plan_.padded.V, static_cast<size_t>(columns.count) * 4);
}

void Worker::load_states(uint32_t state, uint32_t momentum, int64_t row, int64_t head, float* to) {
  load_state(p_[state], row, head, to);
  if (plan_.meaning.variant->moves()) load_state(p_[momentum], row, head, plan_.momentum_of(to));
}

void Worker::save_states(const float* from, uint32_t state, uint32_t momentum, int64_t row, int64_t head,
                         Columns columns) {
  save_state(from, p_[state], row, head, columns);
  save_state(plan_.momentum_of(from), p_[momentum], row, head, columns);
}

void Worker::load_last(int64_t row, int64_t head, float* state) {
  if (!plan_.meaning.variant->adapts()) return;
  const Tensor& from = p_[LATHE_LAST_TOKEN_IN];
  const auto put = [&](int64_t first, int64_t n, float* to) {
    std::memset(to, 0, static_cast<size_t>(n) * 4);
    if (from.present()) std::memcpy(to, from.floats(row, head, first), static_cast<size_t>(n) * 4);
  };
  put(0, p_.sizes.K, plan_.last_key_of(state));
  put(p_.sizes.K, p_.sizes.V, plan_.last_value_of(state));
}

void Worker::save_last(float* state, int64_t row, int64_t head) {
  const Tensor& to = p_[LATHE_LAST_TOKEN_OUT];
  if (!to.present()) return;
  std::memcpy(to.floats(row, head), plan_.last_key_of(state), static_cast<size_t>(p_.sizes.K) * 4);
  std::memcpy(to.floats(row, head, p_.sizes.K), plan_.last_value_of(state), static_cast<size_t>(p_.sizes.V) * 4);
}

void Worker::load_z(const Tensor& from, int64_t row, int64_t head, float* to) const {
  std::memset(to, 0, static_cast<size_t>(plan_.padded.K) * 4);
  if (from.present()) std::memcpy(to, from.floats(row, head), static_cast<size_t>(p_.sizes.K) * 4);
}

void Worker::save_z(const float* from, const Tensor& to, int64_t row, int64_t head) const {
  if (to.present()) std::memcpy(to.floats(row, head), from, static_cast<size_t>(p_.sizes.K) * 4);
}

}  // namespace lathe
