// Gradients on a device, of the plain scan and of non-causal attention: the formulas of the CPU's walks
// (docs/operators.md), all chunks of all sequences at once.
#pragma once

#include "tiles.h"

namespace lathe {

class Gradients : public Tiles {
 public:
  Gradients(const Plan& plan, const Problem& problem, Device& device, const Place& workspace)
      : Tiles(plan, problem, device, workspace) {}

 protected:
  // Lists of the whole numbers that all gradients want, and what else begins a walk of tiles of so many rows.
  void begin_gradients(uint32_t role, int64_t chunk, int64_t tile_rows);

  Tile like(const Tile& x) { return tile(x.columns, x.rows, x.items, x.heads); }
  // A number for each row of the tiles of such heads.
  Tile numbers_of_rows(const Tile& x) { return tile(x.rows, spaced(x.rows), x.items, x.heads); }
  DeviceBuffer ones(const Tile& x, const Heads& h) const { return row_of_all(ones_, x.rows, x.items, h.count); }

  // to += more, or = more where that is the first.
  void sum(const Tile& to, const Heads& h, DeviceBuffer&& more, bool first);
  void weigh(DeviceBuffer&& x, DeviceBuffer&& by, DeviceBuffer&& to) { launcher_.call(*k_.weigh_rows, x, by, to); }
  // x += by y, row by row.
  void add(const Tile& x, const Heads& h, DeviceBuffer&& y, DeviceBuffer&& by);
  void transpose(DeviceBuffer&& x, DeviceBuffer&& to) { launcher_.call(*k_.transpose, x, to); }
  void read_out(DeviceBuffer&& q, DeviceBuffer&& h, DeviceBuffer&& ones, DeviceBuffer&& o) {
    launcher_.call(*k_.readout, q, h, ones, o);
  }

  // In place of the states that items of such a tile would add to.
  DeviceBuffer no_states(const Tile& x) const {
    return {nothing_.place, kFloat, {{x.columns, 1}, {x.rows, x.columns}, {x.items, 0}, {x.heads, 0}}};
  }

  // Of the sequences, from the caller or zero: states and their gradients, and the same transposed; sums of keys.
  Tile states(uint32_t role);
  Tile turned_states(uint32_t role);
  Tile sums_of_keys(uint32_t role);
  // OUT's gradient, by the inverse denominators of its rows where there are such.
  Tile outputs_weighed(const Items& items, int64_t tile_rows, const Tile& inverses);
  // dq = dq + dden z, where dden, which comes of dq as it was, is what the denominators' gradients are.
  void take_denominators(const Tile& dq, const Tile& q, const Heads& queries, const Tile& inverses, DeviceBuffer&& z,
                         const Tile& slopes);
  // From the gradients of mapped rows to those of the caller's rows and of the projection.
  void finish_mapped(uint32_t role, const Tile& dy, const Items& items);
  void finish(uint32_t role, const Tile& dx, const Items& items, int64_t width);
  // Once, when Q and K have given theirs.
  void finish_projection();

  Tile nothing_{};  // zeros

 private:
  static int64_t spaced(int64_t rows) {
    const int64_t floats = kDeviceAlignment / sizeof(float);
    return rows % floats == 0 ? 1 : floats;
  }
  Tile through_map(uint32_t role, const Tile& dy, const Items& items);
  void add_projection(const Tile& du, const Tile& x);

  Items of_turned_{}, of_rows_of_projection_{};
  Tile projection_gradient_{};
};

class CausalGradients : public Gradients {
 public:
  using Gradients::Gradients;
  void run();

 private:
  // What enters the chunks of each key head and, behind them, what leaves the last: states of v's columns by k's, and
  // sums of keys.
  Tile scan(const Tile& k, const Heads& of_k, const Tile& v, const Heads& of_v, DeviceBuffer&& first);
  Tile scan_sums(const Tile& keys, const Tile& first);
  // As each row sees them.
  Tile running_sums(const Tile& keys, const Tile& entering);
  // Chunks from the last to the first, and their rows likewise.
  Tile mirrored(const Tile& x);
  Tile turned(const Tile& x);
  DeviceBuffer no_states_of_sequences(const Tile& x) const {
    return {nothing_.place, kFloat, {{x.columns, 1}, {x.rows, x.columns}, {s_.N, 0}, {s_.HK, 0}}};
  }
  void attend(DeviceBuffer&& q, DeviceBuffer&& kt, DeviceBuffer&& v, DeviceBuffer&& h, DeviceBuffer&& o) {
    launcher_.call(*k_.causal, q, kt, v, h, o);
  }
  void forth();
  void back();

  Items items_{}, mirror_{};
  Tile q_{}, keys_{}, v_{}, g_{}, slopes_{};
};

class NoncausalGradients : public Gradients {
 public:
  using Gradients::Gradients;
  void run();

 private:
  // Both become what they are after all keys.
  void sum_keys(Tile& turned, Tile& sums);
  void of_queries(const Tile& turned, const Tile& sums);
  void of_keys(const Tile& turned);

  Items of_queries_{}, of_keys_{};
  int64_t query_rows_ = 0, key_rows_ = 0;
  Tile keys_{}, v_{};
  Tile state_{}, z_{};  // gradients of what queries read
};

}  // namespace lathe
