#include "walk.h"

#include "../status.h"
#include "tables.h"

namespace lathe {

namespace {

constexpr halide_type_t kFloat(halide_type_float, 32);
constexpr int64_t kRows = 16;  // the fewest rows of a tile: the side of the squares that kernels work in
// Rows of a tile of which only the first is used: parts of it then begin where parts of memory may.
constexpr int64_t kSpaced = kDeviceAlignment / (kRows * sizeof(float));

int64_t padded_rows(int64_t rows) { return (rows + kRows - 1) / kRows * kRows; }

// Float32 in the workspace, dense: columns, rows, items, heads, from the inside out.
struct Tile {
  Place place;
  int64_t columns, rows, items, heads;
  int64_t item() const { return columns * rows; }
  int64_t head() const { return item() * items; }
};

// Heads that are `step` apart.
struct Heads {
  int64_t first, step, count;
};

class Walk {
 public:
  Walk(const Plan& plan, const Problem& problem, Device& device, const Place& workspace)
      : plan_(plan), p_(problem), s_(problem.sizes), d_(plan.padded), k_(plan.kernels), launcher_(device, workspace) {}

  void run() {
    if (s_.N == 0) return;
    switch (plan_.meaning.op->op) {
      case Op::kCausal:
        return causal();
      case Op::kDecode:
        return decode();
      default:
        return noncausal();
    }
  }
  uint64_t bytes() const { return launcher_.most(); }

 private:
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
  static DeviceBuffer rows(const Tile& t, const Heads& h) { return rows(t, h, 0, t.items); }
  static DeviceBuffer rows(const Tile& t) { return rows(t, all(t)); }
  // The first row of each item.
  static DeviceBuffer row(const Tile& t, const Heads& h, int64_t first, int64_t items) {
    return {part(t, h, first), kFloat, {{t.columns, 1}, {items, t.item()}, {h.count, t.head() * h.step}}};
  }
  static DeviceBuffer row(const Tile& t) { return row(t, all(t), 0, t.items); }
  // ... in place of each of so many.
  static DeviceBuffer row_again(const Tile& t, const Heads& h, int64_t again, int64_t first, int64_t items) {
    return {part(t, h, first), kFloat, {{t.columns, 1}, {again, 0}, {items, t.item()}, {h.count, t.head() * h.step}}};
  }
  // The first number of each.
  static DeviceBuffer number(const Tile& t, const Heads& h, int64_t first, int64_t items) {
    return {part(t, h, first), kFloat, {{items, t.item()}, {h.count, t.head() * h.step}}};
  }
  // The one item of a tile, shared by all items and heads.
  static DeviceBuffer rows_of_all(const Tile& t, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{t.columns, 1}, {t.rows, t.columns}, {items, 0}, {heads, 0}}};
  }
  static DeviceBuffer row_of_all(const Tile& t, int64_t columns, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{columns, 1}, {items, 0}, {heads, 0}}};
  }
  static DeviceBuffer number_of_all(const Tile& t, int64_t items, int64_t heads) {
    return {t.place, kFloat, {{items, 0}, {heads, 0}}};
  }
  // Items are the chunks of sequences, those of one number together: (columns, rows, chunk, sequence, head).
  DeviceBuffer by_chunks(const Tile& t, const Heads& h) const {
    return {part(t, h, 0),
            kFloat,
            {{t.columns, 1},
             {t.rows, t.columns},
             {t.items / s_.N, s_.N * t.item()},
             {s_.N, t.item()},
             {h.count, t.head() * h.step}}};
  }

  // The caller's tensors: which of their dimensions are columns, rows, the batch and heads.
  struct Shape {
    Dimension column, row, batch, head;
  };
  static Dimension dimension(const Tensor& x, int d) { return {x.shape[d], x.stride[d]}; }
  static Shape of_tokens(const Tensor& x) {
    return {dimension(x, 3), dimension(x, 1), dimension(x, 0), dimension(x, 2)};
  }
  static Shape of_states(const Tensor& x) {
    return {dimension(x, 3), dimension(x, 2), dimension(x, 0), dimension(x, 1)};
  }
  static Shape of_sums(const Tensor& x) { return {dimension(x, 2), {1, 0}, dimension(x, 0), dimension(x, 1)}; }
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
    const Tile to = tile(columns, padded_rows(tile_rows), items.count, heads);
    launcher_.call(*k_.gather[static_cast<int>(x.storage)], callers(x, shape, items.count, heads), from(x),
                   tables_.list(items, items.token, heads), tables_.list(items, items.batch, heads),
                   tables_.list(items, items.rows, heads), static_cast<int32_t>(width), rows(to));
    return to;
  }
  // Of the items of a tile from one on.
  void scatter(const Tile& t, int64_t first, const Tensor& x, const Shape& shape, const Items& items, int64_t width) {
    launcher_.call(*k_.scatter[static_cast<int>(x.storage)], rows(t, all(t), first, items.count), from(x),
                   tables_.list(items, items.token, t.heads), tables_.list(items, items.batch, t.heads),
                   tables_.list(items, items.rows, t.heads), static_cast<int32_t>(width),
                   tables_.list(items, items.all, t.heads), callers(x, shape, items.count, t.heads));
  }

  Tile values(const Items& items, int64_t tile_rows) {
    return gather(p_[LATHE_V], of_tokens(p_[LATHE_V]), items, s_.V, d_.V, tile_rows, s_.HV);
  }
  // Q or K, mapped.
  Tile mapped(uint32_t role, const Items& items, int64_t tile_rows) {
    const Tensor& x = p_[role];
    const FeatureMap& map = *plan_.meaning.map;
    float scale = role == LATHE_Q ? plan_.meaning.scale : 1.f;
    const int64_t heads = x.shape[2];
    if (map.identity() && scale == 1) return gather(x, of_tokens(x), items, s_.D, d_.K, tile_rows, heads);
    // maps of several parts read a little past a row
    const int64_t past = s_.K == s_.D || s_.M > 0 ? 0 : 16;
    const Tile raw = gather(x, of_tokens(x), items, s_.D, d_.D + past, tile_rows, heads);
    const Tile y = tile(d_.K, raw.rows, items.count, heads);
    DeviceBuffer x_rows = rows(raw), y_rows = rows(y), counts = tables_.list(items, items.rows, heads),
                 positions = tables_.list(items, items.position, heads),
                 before = number_of_all(zeros_, items.count, heads);
    auto width = static_cast<int32_t>(s_.D), features = static_cast<int32_t>(s_.M);
    int32_t step = 1, subtract = 0;
    auto attribute = static_cast<float>(plan_.meaning.attribute);
    const Tile projection = map.projects() ? this->projection() : zeros_;
    const int64_t apart = projection.heads > 1 ? projection.head() : 0;
    DeviceBuffer weights(projection.place, kFloat,
                         {{d_.M, 1}, {map.projects() ? d_.D : 0, d_.M}, {items.count, 0}, {heads, apart}});
    const Tile projected = map.projects() ? tile(d_.M, raw.rows, items.count, heads) : zeros_;
    const Tile maxima = map.stabilises() ? tile(raw.rows, 1, items.count, heads) : zeros_;
    DeviceBuffer u = rows(projected), peaks = row(maxima);
    std::vector<void*> arguments;
    const auto add = [&](auto&... each) { (arguments.push_back(address_of(each)), ...); };
    add(x_rows, weights, width, features, counts, positions, step, subtract, scale, attribute, before);
    if (map.projects()) add(u);
    if (map.stabilises()) add(peaks);
    add(y_rows);
    launcher_.call(*k_.map, arguments.data());
    return y;
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
  Tile entering_states() {
    const Tensor& x = p_[LATHE_STATE_IN];
    if (x.present()) return gather(x, of_states(x), of_states_, s_.V, d_.V, d_.K, s_.state_heads());
    return zeros(d_.V, d_.K, s_.N, s_.state_heads());
  }
  Tile entering_sums() {
    const Tensor& x = p_[LATHE_Z_IN];
    if (x.present()) return gather(x, of_sums(x), of_sums_, s_.K, d_.K, kRows, s_.HK);
    return zeros(d_.K, kRows, s_.N, s_.HK);
  }
  // Items of the tiles from the first one on are what the sequences end with.
  void save(const Tile& states, const Tile& sums, int64_t first) {
    if (const Tensor& x = p_[LATHE_STATE_OUT]; x.present()) scatter(states, first, x, of_states(x), of_states_, s_.V);
    if (const Tensor& x = p_[LATHE_Z_OUT]; x.present()) scatter(sums, first, x, of_sums(x), of_sums_, s_.K);
  }

  void plan_tables() {
    of_states_ = tables_.states(p_, s_.K);
    of_sums_ = tables_.states(p_, 1);
    of_projection_ = tables_.alone(s_.D);
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

  // Sums of the log decays of each item, (C, 2), and what is left of a state after it, one number in a row of equal
  // ones. Nothing where the variant has none.
  struct Decays {
    Tile sums, left;
  };
  Decays decays(const Items& items) {
    if (!plan_.meaning.variant->decays()) return {};
    const Tensor& x = p_[p_[LATHE_GATE].present() ? LATHE_GATE : LATHE_DECAY];
    const bool of_tokens = x.rank == 3;
    const int64_t heads = s_.state_heads();
    const Decays made{tile(d_.C, 2, items.count, heads), tile(kRows, kSpaced, items.count, heads)};
    launcher_.call(*k_.decay_sums[static_cast<int>(x.storage)],
                   DeviceBuffer(Place{x.memory}, type_of(x),
                                {{1, 1},
                                 of_tokens ? dimension(x, 1) : Dimension{s_.Tk, 0},
                                 of_tokens ? dimension(x, 0) : Dimension{s_.B, 0},
                                 {items.count, 0},
                                 dimension(x, x.rank - 1)}),
                   from(x), tables_.list(items, items.token, heads), tables_.list(items, items.batch, heads),
                   tables_.list(items, items.rows, heads), int32_t{plan_.meaning.clamps()}, rows(made.sums),
                   row(made.left));
    return made;
  }
  // The argument that kernels take where states decay.
  template <typename Call>
  static void with_sums(const Decays& decays, const Heads& heads, Call call) {
    if (decays.sums.heads == 0) return call();
    DeviceBuffer b = rows(decays.sums, heads);
    call(b);
  }

  // What enters each chunk, and behind the last what leaves it.
  struct Entering {
    Tile states, sums;
  };
  Entering scan(const Tile& k, const Tile& v, const Decays& decays) {
    const Tile before = entering_states(), added = tile(d_.V, d_.K, k.items, s_.HV);
    Entering e{tile(d_.V, d_.K, k.items + s_.N, s_.HV), {}};
    for (int64_t value = 0; value < group_.values(); value++) {
      const Heads heads = heads_of(s_.HV, value);
      with_sums(decays, heads, [&](auto&... b) {
        launcher_.call(*k_.state, rows(k), rows(v, heads), rows_of_all(zeros_, k.items, s_.HK), b...,
                       rows(added, heads));
      });
    }
    carry(added, before, decays, e.states);
    if (!normalise()) return e;
    // rows but the first are none, and are carried with it
    const Tile sums = entering_sums(), added_sums = zeros(d_.K, kRows, k.items, s_.HK);
    e.sums = tile(d_.K, kRows, k.items + s_.N, s_.HK);
    with_sums(decays, all(k), [&](auto&... b) {
      launcher_.call(*k_.key_sum, rows(k), row_of_all(no_keys_, d_.K, k.items, s_.HK), b..., row(added_sums));
    });
    carry(added_sums, sums, decays, e.sums);
    return e;
  }
  // A sum of keys is a state of columns for keys, with one row.
  void carry(const Tile& each, const Tile& first, const Decays& decays, const Tile& to) {
    const bool decayed = decays.left.heads > 0;
    const Tile& left = decayed ? decays.left : ones_;
    launcher_.call(*k_.carry, by_chunks(each, all(each)),
                   DeviceBuffer(left.place, kFloat,
                                {{each.rows, 0},
                                 {each.items / s_.N, decayed ? s_.N * left.item() : 0},
                                 {s_.N, decayed ? left.item() : 0},
                                 {each.heads, decayed ? left.head() : 0}}),
                   rows(first), by_chunks(to, all(to)));
  }

  void denominators(DeviceBuffer&& q, DeviceBuffer&& sums, DeviceBuffer&& inverses) {
    launcher_.call(*k_.fixed_denominator, q, sums, float{plan_.meaning.eps}, at_least(), inverses);
  }

  void causal() {
    const Items items = tables_.chunks(p_, LATHE_Q, d_.C);
    plan_tables();
    begin(d_.C);
    const Tile q = mapped(LATHE_Q, items, d_.C), k = mapped(LATHE_K, items, d_.C), v = values(items, d_.C);
    const Tile kt = tile(d_.C, d_.K, items.count, s_.HK), o = tile(d_.V, d_.C, items.count, s_.out_heads());
    launcher_.call(*k_.transpose, rows(k), rows(kt));
    const Decays decays = this->decays(items);
    const Entering e = scan(k, v, decays);
    for (int64_t l = 0; l < group_.outputs(); l++) {
      const OutputHeads of = heads_of_output(l);
      const auto outputs = [&](auto&&... of_sums) {
        with_sums(decays, of.values, [&](auto&... b) {
          launcher_.call(*k_.causal, rows(q, of.queries), rows(kt), rows(v, of.values),
                         rows(e.states, of.values, 0, items.count), of_sums..., b..., rows(o, of.outputs));
        });
      };
      if (normalise())
        outputs(row(e.sums, all(e.sums), 0, items.count), float{plan_.meaning.eps}, at_least());
      else
        outputs();
    }
    scatter(o, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), items, s_.V);
    save(e.states, e.sums, items.count);
  }

  // Sums over keys, from chunks that are carried from one to the next; all queries of a sequence read what is left.
  void noncausal() {
    const bool adds = p_[LATHE_K].present(), reads = p_[LATHE_Q].present();
    const int64_t queries = reads ? padded_rows(most_chunks(p_, LATHE_Q, 1)) : 0;
    const Items of_keys = adds ? tables_.chunks(p_, LATHE_K, d_.C) : Items{};
    const Items of_queries = queries > 0 ? tables_.chunks(p_, LATHE_Q, queries) : Items{};
    plan_tables();
    begin(queries);
    Entering e{};
    if (adds)
      e = scan(mapped(LATHE_K, of_keys, d_.C), values(of_keys, d_.C), {});
    else
      e = {entering_states(), normalise() ? entering_sums() : Tile{}};
    const int64_t last = of_keys.count;
    if (queries > 0) {
      const Tile q = mapped(LATHE_Q, of_queries, queries), o = tile(d_.V, queries, s_.N, s_.out_heads());
      const Tile inverses = normalise() ? tile(queries, kSpaced, s_.N, s_.HQ) : ones_;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        const OutputHeads of = heads_of_output(l);
        if (!normalise()) {
          launcher_.call(*k_.readout, rows(q, of.queries), rows(e.states, of.values, last, s_.N),
                         row_of_all(ones_, queries, s_.N, s_.HK), rows(o, of.outputs));
          continue;
        }
        denominators(rows(q, of.queries), row_again(e.sums, all(e.sums), queries, last, s_.N),
                     row(inverses, of.queries, 0, s_.N));
        launcher_.call(*k_.readout, rows(q, of.queries), rows(e.states, of.values, last, s_.N),
                       row(inverses, of.queries, 0, s_.N), rows(o, of.outputs));
      }
      scatter(o, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), of_queries, s_.V);
    }
    save(e.states, e.sums, last);
  }

  // A token at a time, of all sequences: the first row of a tile each.
  void decode() {
    const Items items = tables_.chunks(p_, LATHE_Q, 1);
    plan_tables();
    begin(kRows);
    const Tile q = mapped(LATHE_Q, items, 1), k = mapped(LATHE_K, items, 1), v = values(items, 1);
    const Tile o = tile(d_.V, kRows, items.count, s_.out_heads());
    const Decays decays = this->decays(items);
    const bool decayed = decays.left.heads > 0;
    // no kernel writes what it reads
    Tile state = entering_states(), next = tile(d_.V, d_.K, s_.N, s_.HV);
    Tile sums{}, next_sums{}, inverses = ones_;
    if (normalise()) {
      sums = entering_sums(), next_sums = tile(d_.K, kRows, s_.N, s_.HK);
      inverses = tile(kRows, kSpaced, s_.N, s_.HQ);
    }
    for (int64_t first = 0; first < items.count; first += s_.N) {
      if (normalise()) {
        launcher_.call(
            *k_.key_step, rows(k, all(k), first, s_.N), rows(sums),
            decayed ? row(decays.left, all(decays.left), first, s_.N) : row_of_all(ones_, kRows, s_.N, s_.HK),
            rows(next_sums));
        std::swap(sums, next_sums);
      }
      int64_t at_hand = -1;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        const int64_t value = group_.value_of(l);
        const OutputHeads of = heads_of_output(l);
        if (normalise())
          denominators(rows(q, of.queries, first, s_.N), row_again(sums, all(sums), kRows, 0, s_.N),
                       row(inverses, of.queries, 0, s_.N));
        const auto inverse = [&] {
          return normalise() ? number(inverses, of.queries, 0, s_.N) : number_of_all(ones_, s_.N, s_.HK);
        };
        if (value != at_hand)
          launcher_.call(*k_.decode, row(q, of.queries, first, s_.N), row(k, all(k), first, s_.N),
                         row(v, of.values, first, s_.N), rows(state, of.values),
                         row_of_all(no_keys_, d_.V, s_.N, s_.HK),
                         decayed ? number(decays.left, of.values, first, s_.N) : number_of_all(ones_, s_.N, s_.HK),
                         inverse(), rows(next, of.values), row(o, of.outputs, first, s_.N));
        else
          launcher_.call(*k_.recall, row(q, of.queries, first, s_.N), rows(next, of.values), inverse(),
                         row(o, of.outputs, first, s_.N));
        at_hand = value;
      }
      std::swap(state, next);
    }
    scatter(o, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), items, s_.V);
    save(state, sums, 0);
  }

  const Plan& plan_;
  const Problem& p_;
  const Sizes& s_;
  const Padded& d_;
  const Kernels& k_;
  const Group group_{s_, plan_.meaning.tiled()};
  Launcher launcher_;
  Tables tables_;
  Items of_states_{}, of_sums_{}, of_projection_{};
  Tile zeros_{}, no_keys_{}, ones_{}, projection_{};
};

// A device on which nothing happens.
class Nowhere : public Device {
  void stage(const Place&, const void*, size_t) override {}
  void fill(const Place&, float, size_t) override {}
  void launch(const Launch&) override {}
};

}  // namespace

void check_device(const Meaning& m, const Problem& p) {
  const auto refuse = [](const char* what) {
    fail(LATHE_UNSUPPORTED, "device tensors: expected a call without {}, which devices do not compute yet", what);
  };
  if (m.op->backward()) refuse("gradients");
  if (m.variant->keyed()) refuse("gates for each key");
  if (m.variant->steps()) refuse("steps");
  if (m.variant->corrects()) refuse("the delta rule");
  if (m.variant->brings_step_size()) refuse("momentum");
  if (m.stabilise()) refuse("the flag STABILISE");
  if (p.mixes()) refuse("MIXTURE");
  if (p[LATHE_SNAPSHOTS].present()) refuse("SNAPSHOTS");
}

void run_on_device(const Plan& plan, const Problem& problem, Device& device, const Place& workspace) {
  Walk(plan, problem, device, workspace).run();
}

uint64_t device_workspace(const Plan& plan, const Problem& problem) {
  Nowhere nowhere;
  Walk walk(plan, problem, nowhere, {});
  walk.run();
  return walk.bytes();
}

}  // namespace lathe
