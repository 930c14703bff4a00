// What every walk over a device is made of: parts of the workspace as kernels see them, and the caller's tensors in and
// out of them.
#pragma once

#include <limits>
#include <map>
#include <numeric>

#include "../plan.h"
#include "../status.h"
#include "tables.h"

namespace lathe {

inline constexpr halide_type_t kFloat(halide_type_float, 32);
inline constexpr int64_t kVector = 4;  // numbers that kernels read at once
inline constexpr int64_t kRows = 16;   // the fewest rows of a tile: the side of the squares that kernels work in
// Rows of a tile of which only the first is used: parts of it then begin where parts of memory may.
inline constexpr int64_t kSpaced = kDeviceAlignment / (kRows * sizeof(float));

inline int64_t padded_rows(int64_t rows) { return (rows + kRows - 1) / kRows * kRows; }

// Float32 in the workspace, dense: columns, rows, items, heads, from the inside out. Or rows of the caller's, where
// only what reads rows of tokens may follow: the items of `in_place`, `step` apart, each beginning where a list says.
struct Tile {
  Place place;
  int64_t columns, rows, items, heads;
  const Items* in_place = nullptr;
  int64_t step = 0;
  Tables::Addresses addresses{};
  // Where heads are rows of an item, or columns of its only one, from one to the next.
  int64_t apart = 0;
  int64_t item() const { return columns * rows; }
  int64_t head() const { return apart ? apart : item() * items; }
};

// Heads that are `step` apart.
struct Heads {
  int64_t first, step, count;
};

class Tiles {
 public:
  Tiles(const Plan& plan, const Problem& problem, Device& device, const Place& workspace)
      : plan_(plan), p_(problem), s_(problem.sizes), d_(plan.padded), k_(plan.kernels), launcher_(device, workspace) {}
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  uint64_t bytes() const { return launcher_.most(); }

 protected:
  bool normalise() const { return plan_.meaning.normalise(); }
  int32_t at_least() const { return plan_.meaning.denom_max() ? 1 : 0; }

  // What every walk begins with: numbers for the launches, and constants that many share.
  void begin(int64_t rows) {
    tables_.stage(launcher_);
    zeros_ = zeros(d_.V, d_.K, 1, 1);
    no_keys_ = zeros(std::max(d_.K, d_.V), kRows, 1, 1);
    ones_ = tile(std::max(d_.K, padded_rows(rows)), 1, 1, 1);
    fill(ones_, 1);
  }
  Tile tile(int64_t columns, int64_t rows, int64_t items, int64_t heads) {
    const int64_t floats = columns * rows * items * heads;
    // kernels count in 32 bits
    if (floats >= int64_t{1} << 31)
      fail(LATHE_UNSUPPORTED,
           "a device's call: expected parts of less than 2^31 numbers, got one of {}: split the call", floats);
    return {launcher_.take(static_cast<uint64_t>(floats) * sizeof(float)), columns, rows, items, heads};
  }
  // So many rows of so many numbers that the next item begins where a part of memory may.
  static int64_t spaced(int64_t columns) {
    constexpr int64_t floats = kDeviceAlignment / sizeof(float);
    return floats / std::gcd(columns, floats);
  }
  void fill(const Tile& t, float value) const {
    if (t.head() * t.heads == 0) return;
    launcher_.device().fill(t.place, value, static_cast<size_t>(t.head() * t.heads));
  }

  Tile zeros(int64_t columns, int64_t tile_rows, int64_t items, int64_t heads) {
    const Tile made = tile(columns, tile_rows, items, heads);
    fill(made, 0);
    return made;
  }

  // Parts of tiles. Kernels take whole ones, or some heads, or the items from one on.
  static Heads all(const Tile& t) { return {0, 1, t.heads}; }
  static Place part(const Tile& t, const Heads& heads, int64_t first) {
    const int64_t floats = heads.first * t.head() + first * t.item();
    return {t.place.memory, t.place.offset + static_cast<uint64_t>(floats) * sizeof(float), t.place.bytes};
  }
  static DeviceBuffer rows(const Tile& t, const Heads& h, int64_t first, int64_t items) {
    return {part(t, h, first),
            kFloat,
            {{t.columns, 1}, {t.rows, t.columns}, {items, t.item()}, {h.count, t.head() * h.step}}};
  }
  static DeviceBuffer rows(const Tile& t, const Heads& h) {
    if (t.in_place) return {t.place, kFloat, {{t.columns, 1}, {t.rows, t.step}, {t.items, 0}, {h.count, 0}}};
    return rows(t, h, 0, t.items);
  }
  static DeviceBuffer rows(const Tile& t) { return rows(t, all(t)); }
  // Where kernels find the items of rows of tokens: from where on, and how many rows of each count. Of tiles all do,
  // which are zero past those.
  DeviceBuffer at(const Tile& t, const Heads& h) const {
    if (t.in_place) return tables_.list(*t.in_place, t.addresses, h.first, h.step, h.count);
    return at(t.items, h.count);
  }
  DeviceBuffer at(int64_t items, int64_t heads) const {
    return {zeros_.place, halide_type_t(halide_type_int, 32), {{items, 0}, {heads, 0}}};
  }
  DeviceBuffer counted(std::initializer_list<const Tile*> tiles, const Heads& h) const {
    for (const Tile* t : tiles)
      if (t->in_place) return tables_.list(*t->in_place, t->in_place->rows, h.count);
    return counted((*tiles.begin())->items, h.count);
  }
  // ... and how many rows of outputs are written, zeros among them.
  DeviceBuffer written(const Tile& t, const Heads& h) const {
    return t.in_place ? tables_.list(*t.in_place, t.in_place->all, h.count) : counted(t.items, h.count);
  }
  DeviceBuffer counted(int64_t items, int64_t heads) const { return tables_.again(all_rows_.rows, items, heads); }
  // The first row of each item.
  static DeviceBuffer row(const Tile& t, const Heads& h, int64_t first, int64_t items) {
    if (t.in_place) return {t.place, kFloat, {{t.columns, 1}, {items, 0}, {h.count, t.apart * h.step}}};
    return {part(t, h, first), kFloat, {{t.columns, 1}, {items, t.item()}, {h.count, t.head() * h.step}}};
  }
  static DeviceBuffer row(const Tile& t) { return row(t, all(t), 0, t.items); }
  // The rows of items as so many heads, of which each is the first row of a tile; and back.
  static Tile heads_of_rows(Tile t, int64_t heads) {
    t.heads = heads;
    t.apart = t.in_place ? t.step : t.columns;
    t.addresses.apart = 0;
    return t;
  }
  static Tile rows_of_heads(Tile t) {
    t.heads = 1;
    t.apart = 0;
    return t;
  }
  // ... and the columns of an item's only row, of which each is the first number of one.
  static Tile heads_of_columns(Tile t, int64_t heads) {
    t.heads = heads;
    t.apart = 1;
    return t;
  }
  // ... in place of each of so many.
  static DeviceBuffer row_again(const Tile& t, const Heads& h, int64_t again, int64_t first, int64_t items) {
    return {part(t, h, first), kFloat, {{t.columns, 1}, {again, 0}, {items, t.item()}, {h.count, t.head() * h.step}}};
  }
  // The first number of each.
  static DeviceBuffer number(const Tile& t, const Heads& h, int64_t first, int64_t items) {
    return {part(t, h, first), kFloat, {{items, t.item()}, {h.count, t.head() * h.step}}};
  }
  // The one item of a tile, shared by all items and heads.
  static DeviceBuffer rows_of_all(const Tile& t, int64_t columns, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{columns, 1}, {t.rows, t.columns}, {items, 0}, {heads, 0}}};
  }
  // ... and by all items alone.
  static DeviceBuffer rows_again(const Tile& t, const Heads& h, int64_t items) {
    return {part(t, h, 0), kFloat, {{t.columns, 1}, {t.rows, t.columns}, {items, 0}, {h.count, t.head() * h.step}}};
  }
  static DeviceBuffer row_of_all(const Tile& t, int64_t columns, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{columns, 1}, {items, 0}, {heads, 0}}};
  }
  static DeviceBuffer number_of_all(const Tile& t, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{items, 0}, {heads, 0}}};
  }
  // Items are the chunks of all sequences, or of so many.
  DeviceBuffer by_chunks(const DeviceBuffer& items) const { return {items, s_.N}; }
  static DeviceBuffer by_chunks(const Tile& t, int64_t sequences) { return {rows(t), sequences}; }

  // The caller's tensors: which of their dimensions are columns, rows, the batch and heads.
  struct Shape {
    Dimension column, row, batch, head;
  };
  static Dimension dimension(const Tensor& x, int d) { return {x.shape[d], x.stride[d]}; }
  static Shape of_tokens(const Tensor& x) {
    return {dimension(x, 3), dimension(x, 1), dimension(x, 0), dimension(x, 2)};
  }
  // By rows of those items, and how many heads these are of.
  Shape of_tokens(const Tensor& x, const Items& items) const {
    if (!items.heads_are_rows) return of_tokens(x);
    return {dimension(x, 3), dimension(x, 2), batch_of(x), {1, 0}};
  }
  // What Tables::heads() takes for rows of the batch.
  Dimension batch_of(const Tensor& x) const { return dimension(x, p_[LATHE_CU_SEQLENS].present() ? 1 : 0); }
  static int64_t heads_of(const Tensor& x, const Items& items) { return items.heads_are_rows ? 1 : x.shape[2]; }
  static Shape of_states(const Tensor& x) {
    return {dimension(x, 3), dimension(x, 2), dimension(x, 0), dimension(x, 1)};
  }
  static Shape of_sums(const Tensor& x) { return {dimension(x, 2), {1, 0}, dimension(x, 0), dimension(x, 1)}; }
  static Shape rows_of_sums(const Tensor& x) { return {dimension(x, 2), dimension(x, 1), dimension(x, 0), {1, 0}}; }
  static halide_type_t type_of(const Tensor& x) {
    return x.storage == Storage::kF32 ? kFloat : halide_type_t(halide_type_uint, 16);
  }
  static DeviceBuffer callers(const Tensor& x, const Shape& s, int64_t items, int64_t heads) {
    return {Place{x.memory},
            type_of(x),
            {{1, 1}, s.column, s.row, s.batch, {items, 0}, {heads, s.head.extent > 1 ? s.head.stride : 0}}};
  }
  static int32_t from(const Tensor& x) {
    return static_cast<int32_t>(reinterpret_cast<int64_t>(x.data) / size_of(x.storage));
  }

  Tile gather(const Tensor& x, const Shape& shape, const Items& items, int64_t width, int64_t columns,
              int64_t tile_rows, int64_t heads) {
    return gather(x, shape, from(x), items, width, columns, tile_rows, heads);
  }
  Tile gather(const Tensor& x, const Shape& shape, int32_t begin, const Items& items, int64_t width, int64_t columns,
              int64_t tile_rows, int64_t heads) {
    const Tile to = tile(columns, padded_rows(tile_rows), items.count, heads);
    gather(x.storage, callers(x, shape, items.count, heads), begin, items, width, to);
    return to;
  }
  // From any memory, as the kernel of that name has it.
  void gather(Storage storage, DeviceBuffer&& x, int32_t begin, const Items& items, int64_t width, const Tile& to) {
    launcher_.call(*k_.gather[static_cast<int>(storage)], x, begin, tables_.list(items, items.token, to.heads),
                   tables_.list(items, items.batch, to.heads), tables_.list(items, items.rows, to.heads),
                   static_cast<int32_t>(width), rows(to));
  }
  // Of the items of a tile from one on.
  void scatter(const Tile& t, int64_t first, const Tensor& x, const Shape& shape, const Items& items, int64_t width) {
    scatter(t, first, x, shape, from(x), items, width);
  }
  void scatter(const Tile& t, int64_t first, const Tensor& x, const Shape& shape, int32_t begin, const Items& items,
               int64_t width) {
    launcher_.call(*k_.scatter[static_cast<int>(x.storage)], rows(t, all(t), first, items.count), int32_t{begin},
                   tables_.list(items, items.token, t.heads), tables_.list(items, items.batch, t.heads),
                   tables_.list(items, items.rows, t.heads), static_cast<int32_t>(width),
                   tables_.list(items, items.all, t.heads), callers(x, shape, items.count, t.heads));
  }

  // Whether kernels find rows where the caller has them: float32, whatever is a row or further apart is so by whole
  // vectors, and no further from where memory begins than batch.cpp promises Halide.
  bool in_vectors(const Tensor& x, int rank = 4) const {
    const auto columns = static_cast<size_t>(rank - 1);
    if (x.rank != rank || x.storage != Storage::kF32 || x.shape[columns] % kRows != 0 || x.stride[columns] != 1)
      return false;
    int64_t least = from(x), most = least;
    for (size_t d = 0; d < columns; d++) {
      if (x.stride[d] % kVector != 0) return false;
      (x.stride[d] < 0 ? least : most) += x.stride[d] * (x.shape[d] - 1);
    }
    return least >= 0 && most < int64_t{1} << 30 && launcher_.device().aligned(x, kVector * sizeof(float));
  }
  // Makes no tiles of a tensor's rows where none are needed. To be asked for before begin().
  void take_in_place(uint32_t role, const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[role];
    if (!in_vectors(x)) return;
    const Shape shape = of_tokens(x, items);
    const int64_t heads = heads_of(x, items);
    in_place_[role] = {
        Place{x.memory},
        x.shape[3],
        padded_rows(tile_rows),
        items.count,
        heads,
        &items,
        shape.row.stride,
        tables_.addresses(items, from(x), {shape.row.stride, shape.batch.stride, shape.head.stride}, heads)};
  }
  // ... or of states, after plan_tables(). A call may want tiles of others all the same, and so the list is there
  // wherever they lie: the workspace is as large.
  void take_states_in_place(uint32_t role) {
    const Tensor& x = p_[role];
    if (!x.present()) return;
    const auto addresses = tables_.addresses(of_states_, from(x), {0, x.stride[0], x.stride[1]}, x.shape[1]);
    if (s_.K != d_.K || !in_vectors(x)) return;
    in_place_[role] = {Place{x.memory}, d_.V, d_.K, s_.N, x.shape[1], &of_states_, x.stride[2], addresses};
  }
  // The same of sums of keys whose heads are rows of an item.
  void take_sums_in_place(uint32_t role) {
    const Tensor& x = p_[role];
    if (!x.present()) return;
    const auto addresses = tables_.addresses(of_sums_, from(x), {0, x.stride[0], 0}, 1);
    if (s_.K != d_.K || !in_vectors(x, 3)) return;
    in_place_[role] = {Place{x.memory}, d_.K, padded_rows(s_.HK), s_.N, 1, &of_sums_, x.stride[1], addresses};
  }
  // Whether what reads the rows of queries or keys is made for rows of tokens: maps are, of one part; and without one
  // scores, states and sums of heads.
  bool only_tokens(uint32_t role, const Items& items) const {
    if (maps(role)) return s_.K == s_.D || s_.M > 0;
    return !plan_.meaning.unit(role) && (role == LATHE_Q || !normalise() || items.heads_are_rows);
  }
  // ... of all that a scan reads and writes by rows. Kernels of denominators may be some that want tiles of queries.
  void take_rows_in_place(const Items& items, int64_t tile_rows, bool denominators_by_rows) {
    const bool skips = p_[LATHE_SKIP].present();
    if (!plan_.meaning.variant->weighs() && !skips) take_in_place(LATHE_V, items, tile_rows);
    if (!skips && !p_[LATHE_OUT_GATE].present()) take_in_place(LATHE_O, items, tile_rows);
    for (const uint32_t role : {LATHE_Q, LATHE_K})
      if (only_tokens(role, items) && (maps(role) || denominators_by_rows || !normalise()))
        take_in_place(role, items, tile_rows);
  }
  // Where their outputs go.
  Tile place_of_outputs(const Items& items, int64_t tile_rows) {
    if (in_place_.contains(LATHE_O)) return in_place_.at(LATHE_O);
    return tile(d_.V, tile_rows, items.count, items.heads_are_rows ? 1 : s_.out_heads());
  }

  Tile values(const Items& items, int64_t tile_rows) {
    if (in_place_.contains(LATHE_V)) return in_place_.at(LATHE_V);
    const Tensor& x = p_[LATHE_V];
    return gather(x, of_tokens(x, items), items, s_.V, d_.V, tile_rows, heads_of(x, items));
  }
  // Q or K, mapped, and as units where that is asked for.
  Tile mapped(uint32_t role, const Items& items, int64_t tile_rows) {
    return units(role, features(role, items, tile_rows));
  }
  Tile units(uint32_t role, const Tile& x) { return plan_.meaning.unit(role) ? weighed(x, unit_weights(role, x)) : x; }
  // What makes each row as long as it should be.
  Tile unit_weights(uint32_t role, const Tile& x);
  Tile features(uint32_t role, const Items& items, int64_t tile_rows) {
    if (role != LATHE_K || !p_.mixes()) return mapped(role, raw(role, from(p_[role]), items, tile_rows), items);
    return plan_.meaning.mixes_first() ? mapped(role, mixture(items, tile_rows), items) : mixture(items, tile_rows);
  }
  // Keys of a mixture, which lie along the last dimension.
  static int32_t from_key(const Tensor& x, int64_t key) { return from(x) + static_cast<int32_t>(key * x.stride[4]); }
  // ... weighed and summed, as they come or mapped.
  Tile mixture(const Items& items, int64_t tile_rows) {
    Tile sum{};
    for (int64_t key = 0; key < s_.keys; key++) {
      Tile one = raw(LATHE_K, from_key(p_[LATHE_K], key), items, tile_rows);
      if (!plan_.meaning.mixes_first()) one = mapped(LATHE_K, one, items);
      sum = with(sum, one, weights(key, one.rows));
    }
    return sum;
  }
  // Of what a map makes; units are scaled when they are.
  float scale_of(uint32_t role) const { return role == LATHE_K || plan_.meaning.unit(role) ? 1 : plan_.meaning.scale; }
  bool maps(uint32_t role) const { return !plan_.meaning.map->identity() || scale_of(role) != 1; }
  Tile raw(uint32_t role, int32_t begin, const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[role];
    if (in_place_.contains(role)) return in_place_.at(role);
    // maps of several parts read a little past a row
    const int64_t past = s_.K == s_.D || s_.M > 0 ? 0 : 16, columns = maps(role) ? d_.D + past : d_.K;
    return gather(x, of_tokens(x, items), begin, items, s_.D, columns, tile_rows, heads_of(x, items));
  }
  // A key's weight in the mixture of each head, once for each row: columns of a tile lie side by side.
  Tile weights(int64_t key, int64_t tile_rows) {
    const Tensor& w = p_[LATHE_MIXTURE];
    return gather(w, {{tile_rows, 0}, {1, 0}, {1, 0}, dimension(w, 0)},
                  from(w) + static_cast<int32_t>(key * w.stride[1]), once_, tile_rows, tile_rows, 1, s_.HK);
  }
  Tile with(const Tile& sum, const Tile& more, const Tile& weights) {
    const Tile to = tile(more.columns, more.rows, more.items, more.heads);
    DeviceBuffer by(weights.place, kFloat, {{more.rows, 1}, {more.items, 0}, {more.heads, weights.head()}});
    if (sum.heads == 0)
      launcher_.call(*k_.weigh_rows, rows(more), by, rows(to));
    else
      launcher_.call(*k_.add_rows, rows(sum), rows(more), by, rows(to));
    return to;
  }
  Tile mapped(uint32_t role, const Tile& raw, const Items& items) {
    if (!maps(role)) return raw;
    const bool projects = plan_.meaning.map->projects(), stabilises = plan_.meaning.map->stabilises();
    const Mapped to{tile(d_.K, raw.rows, items.count, raw.heads),
                    projects ? tile(d_.M, raw.rows, items.count, raw.heads) : zeros_,
                    stabilises ? tile(raw.rows, 1, items.count, raw.heads) : zeros_};
    if (role == LATHE_K && plan_.meaning.stabilise())
      map_stabilised(raw, items, to);
    else
      map(role, raw, items, plan_.meaning.stabilise() ? Subtract::kOwn : Subtract::kNothing,
          number_of_all(zeros_, items.count, raw.heads), to);
    return to.y;
  }
  // What a map writes: rows, their projections, and what is subtracted of each row.
  struct Mapped {
    Tile y, projected, peaks;
  };
  // The largest projection of the row itself, or of all rows up to it and what comes `before` its item.
  enum class Subtract : int32_t { kNothing, kOwn, kSoFar };
  void map(uint32_t role, const Tile& raw, const Items& items, Subtract what, DeviceBuffer&& before, const Mapped& to) {
    const FeatureMap& map = *plan_.meaning.map;
    float scale = scale_of(role);
    const int64_t heads = raw.heads;
    DeviceBuffer x_rows = rows(raw), y_rows = rows(to.y), counts = tables_.list(items, items.rows, heads),
                 positions = tables_.list(items, items.position, heads), begins = at(raw, all(raw));
    auto width = static_cast<int32_t>(s_.D), features = static_cast<int32_t>(s_.M);
    int32_t step = items.heads_are_rows ? 0 : 1;
    auto subtract = static_cast<int32_t>(what);
    auto attribute = static_cast<float>(plan_.meaning.attribute);
    const Tile projection = map.projects() ? this->projection() : zeros_;
    const int64_t apart = projection.heads > 1 ? projection.head() : 0;
    DeviceBuffer weights(projection.place, kFloat,
                         {{d_.M, 1}, {map.projects() ? d_.D : 0, d_.M}, {items.count, 0}, {heads, apart}});
    DeviceBuffer u = rows(to.projected), peaks = row(to.peaks);
    std::vector<void*> arguments;
    const auto add = [&](auto&... each) { (arguments.push_back(address_of(each)), ...); };
    add(x_rows, weights, width, features, counts, positions, step, subtract, scale, attribute, before, begins);
    if (map.projects()) add(u);
    if (map.stabilises()) add(peaks);
    add(y_rows);
    launcher_.call(*k_.map, arguments.data());
  }
  // Transposed, and padded; made once.
  Tile projection() {
    if (projection_.heads > 0) return projection_;
    const Tensor& w = p_[LATHE_PROJECTION];
    const int r = w.rank;
    const Shape shape{dimension(w, r - 2), dimension(w, r - 1), {1, 0}, r == 3 ? dimension(w, 0) : Dimension{1, 0}};
    return projection_ = gather(w, shape, of_projection_, s_.M, d_.M, d_.D, r == 3 ? w.shape[0] : 1);
  }

  // Of each sequence, from the caller or zero.
  Tile entering_states(uint32_t role = LATHE_STATE_IN) {
    const Tensor& x = p_[role];
    if (x.present()) return entered(gather(x, of_states(x), of_states_, s_.V, d_.V, d_.K, s_.state_heads()));
    return zeros(d_.V, d_.K, s_.N, s_.state_heads());
  }
  Tile entering_sums(uint32_t role = LATHE_Z_IN) {
    const Tensor& x = p_[role];
    if (x.present()) return entered(gather(x, of_sums(x), of_sums_, s_.K, d_.K, kRows, s_.HK));
    return zeros(d_.K, kRows, s_.N, s_.HK);
  }
  // Items of the tiles from the first one on are what those sequences end with. It is what they had after their last
  // token, to the bit: others may go on.
  void save(const Ends& ends, const Tile& states, const Tile& sums, int64_t first) {
    if (const Tensor& x = p_[LATHE_STATE_OUT]; x.present()) scatter(states, first, x, of_states(x), ends.states, s_.V);
    if (const Tensor& x = p_[LATHE_Z_OUT]; x.present()) scatter(sums, first, x, of_sums(x), ends.sums, s_.K);
    save_maxima(ends, first);
  }

  // Where the running maximum of each head's keys is subtracted from them: what it is after each token, and before each
  // item and, behind those, after the last. All chunks are mapped at once, and so by themselves first.
  struct Maxima {
    Tile peaks, before;
  };
  void map_stabilised(const Tile& raw, const Items& items, const Mapped& to);
  // That which each sequence enters with.
  const Tile& entering_maxima();
  // States or sums, but none that no key has entered.
  Tile entered(const Tile& x);
  // Of sequences with keys, as save() has it.
  void save_maxima(const Ends& ends, int64_t first);

  // `role` is the one whose tokens move states on, in such chunks. Sums of keys are a row, or one for each head.
  void plan_tables(uint32_t role, int64_t chunk, int64_t rows_of_sums = 1) {
    of_states_ = tables_.states(p_, s_.K);
    of_sums_ = tables_.states(p_, rows_of_sums);
    ends_ = tables_.ends(p_, role, chunk, of_states_, of_sums_, s_.K, rows_of_sums);
    of_projection_ = tables_.alone(s_.D);
    once_ = tables_.alone(1);
    all_rows_ = tables_.alone(std::numeric_limits<int32_t>::max());
  }

  // The heads that go with each key head: number l of a group.
  Heads heads_of(int64_t total, int64_t l) const {
    const int64_t first = group_.head(total, 0, l);
    return {first, s_.HK > 1 ? group_.head(total, 1, l) - first : 1, s_.HK};
  }

  struct OutputHeads {
    Heads queries, values, outputs;
  };
  OutputHeads heads_of_output(int64_t l) const {
    return {heads_of(s_.HQ, group_.query_of(l)), heads_of(s_.HV, group_.value_of(l)), heads_of(s_.out_heads(), l)};
  }

  // Sums of the log decays of each item, (C, 2) and more rows, and what is left of a state after it, one number in a
  // row of equal ones; where tokens have steps, also those. Nothing where the variant has none.
  struct Decays {
    Tile sums, left, steps;
  };
  Decays decays(const Items& items, bool mirrored = false) {  // from the last token to the first
    return decays(items, mirrored, plan_.meaning.clamps());
  }
  Decays decays(const Items& items, bool mirrored, bool clamps);
  Decays room_for_decays(int64_t items);
  // Joined by what a running maximum of keys rises by, where there is one; or that alone. And log decays of each key.
  Decays with_rises(const Decays& decays);
  Tile with_rises(const Tile& gates);
  // Of items whose rows are heads: what is left alone.
  Decays decays_of_heads(const Items& items);
  // A number of each head, again for each item; a log decay clamped where that is asked for.
  Tile numbers(uint32_t role);
  Tile log_decays_of_heads();
  static DeviceBuffer number_again(const Tile& t, const Heads& h, int64_t items) {
    return {part(t, h, 0), kFloat, {{items, 0}, {h.count, t.head() * h.step}}};
  }
  // What lies outside a range, at its nearer end.
  Tile clamped(const Tile& x, float least, float most);
  // Log decays as they count: with CLAMP_GATES those above 0 are 0.
  Tile at_most_zero(const Tile& gates);
  Tile times(float factor, const Tile& x);
  // A row for each token and state, of a number for each key.
  Tile of_each_key(uint32_t role, const Items& items) {
    const Tensor& x = p_[role];
    if (in_place_.contains(role)) return in_place_.at(role);
    return gather(x, of_tokens(x, items), items, s_.K, d_.K, items.heads_are_rows ? s_.HK : 1, heads_of(x, items));
  }
  // A number for each, the first of a row, or a row of those of all heads.
  Tile of_each_token(uint32_t role, const Items& items) {
    const Tensor& x = p_[role];
    if (!items.heads_are_rows) return gather(x, of_numbers(x), items, 1, kRows, 1, s_.state_heads());
    return gather(x, {dimension(x, 2), {s_.HK, 0}, batch_of(x), {1, 0}}, items, s_.HK, padded_rows(s_.HK), 1, 1);
  }
  static Shape of_numbers(const Tensor& x) { return {{1, 0}, dimension(x, 1), dimension(x, 0), dimension(x, 2)}; }
  Tile betas(const Items& items) { return betas(of_each_token(LATHE_BETA, items)); }
  Tile betas(const Tile& raw);
  // A row for each head.
  Tile bonuses();
  Tile sigmoids(const Tile& x);
  Tile exponentials(const Tile& x);
  // Each row by a number of its own.
  Tile weighed(const Tile& x, const Tile& by);
  // What values of tokens count for that have no momentum, by how many are still to come: a number for each.
  Tile weights_to_come(const Items& items);
  // What comes after the recurrence, of outputs: SKIP of values as they came, then OUT_GATE.
  Tile with_skipped(const Tile& outputs, const Tile& values, const Items& items);
  Tile finished(const Tile& outputs, const Tile& values, const Items& items);
  // The argument that kernels take where states decay.
  template <typename Call>
  static void with_sums(const Decays& decays, const Heads& heads, Call call) {
    if (decays.sums.heads == 0) return call();
    DeviceBuffer b = rows(decays.sums, heads);
    call(b);
  }

  // What enters the chunks of so many heads and, behind them, what leaves the last: states of v's columns by k's.
  // `first` enters the sequences, and `of` are the heads whose decays they have.
  void scan_states(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first,
                   const Decays& decays, const Heads& of, const Tile& to, const Heads& of_to);
  // Whether by one walk through the chunks; else by what each of them adds, all at once, and a sum of that.
  bool walks(const Tile& to) const;
  // A sum of keys is a state of columns for keys, with one row.
  void carry(const Tile& each, DeviceBuffer&& first, const Decays& decays, const Heads& of_decays, const Tile& to,
             const Heads& of_to) {
    const bool decayed = decays.left.heads > 0;
    const Tile& left = decayed ? decays.left : ones_;
    launcher_.call(*k_.carry, by_chunks(each, s_.N),
                   DeviceBuffer(decayed ? part(left, of_decays, 0) : left.place, kFloat,
                                {{each.rows, 0},
                                 {each.items / s_.N, decayed ? s_.N * left.item() : 0},
                                 {s_.N, decayed ? left.item() : 0},
                                 {each.heads, decayed ? left.head() * of_decays.step : 0}}),
                   first, by_chunks(rows(to, of_to)));
  }

  void denominators(DeviceBuffer&& q, DeviceBuffer&& sums, DeviceBuffer&& inverses) {
    launcher_.call(*k_.fixed_denominator, q, sums, float{plan_.meaning.eps}, at_least(), inverses);
  }

  const Plan& plan_;
  const Problem& p_;
  const Sizes& s_;
  const Padded& d_;
  const Kernels& k_;
  const Group group_{s_, plan_.meaning.tiled()};
  Launcher launcher_;
  Tables tables_;
  Items of_states_{}, of_sums_{}, of_projection_{}, once_{}, all_rows_{};
  std::map<uint32_t, Tile> in_place_;
  std::vector<Ends> ends_;
  Tile zeros_{}, no_keys_{}, ones_{}, projection_{}, entering_maxima_{};
  Maxima maxima_{};
};

}  // namespace lathe
