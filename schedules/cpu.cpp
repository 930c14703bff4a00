// How a CPU runs each role: register tiles of rows x vectors, operands broadcast from L1, loops over run-time widths.
#include <algorithm>
#include <set>

#include "../generators/stretch.h"
#include "reads.h"
#include "schedule.h"
#include "spaces.h"
#include "sum_tile.h"
#include "vectors.h"

namespace lathe::gen {

namespace {

using namespace Halide;

constexpr int kTransposed = 4;  // rows interleaved at once: 8 and 16 cost more shuffles than they save stores
constexpr int kSumVectors = 4;  // columns summed together: enough independent sums to hide the latency of an FMA

int lanes(const Target& target) { return vectors_of(target.to_string()).lanes; }
bool by_lane(const Target& target) { return vectors_of(target.to_string()).by_lane; }

// One kernel being scheduled. Roles are visited consumers first, so that each knows where it is computed.
struct Roles {
  Kernel& kernel;
  const Numbers& numbers;
  const int vector;
  const bool from_lanes;  // an FMA takes its multiplier from any lane of a vector
  Var xi{"xi"}, ii{"ii"};

  Func find(Role role) const {
    for (const Labelled& l : kernel.labelled())
      if (l.role == role) return l.func;
    return {};
  }
  template <typename Schedule>
  void each(Role role, Schedule schedule) const {
    for (const Labelled& l : kernel.labelled())
      if (l.role == role) schedule(l.func);
  }

  // The loops over tiles must not be cut into first, middle and last: the copies lose their register accumulators.
  void tile(Func f, int rows, int columns) {
    Var x = f.args()[0], i = f.args()[1];
    f.tile(x, i, xi, ii, columns * vector, rows, TailStrategy::RoundUp)
        .vectorize(xi, vector)
        .unroll(xi)
        .unroll(ii)
        .partition(x, Partition::Never)
        .partition(i, Partition::Never);
  }

  void accumulate(Func f, Func owner, Var loop, int unroll) {
    f.compute_at(owner, loop);
    sum_tile(f, vector, unroll, kernel.grain(), [&](int u, const RVar& r) { multipliers(f, u, r, unroll); });
  }

  // Where an FMA takes its multiplier from a lane, those of several steps or rows cost one load together.
  void multipliers(Func f, int update, const RVar& loop, int steps) {
    each(Role::multiplier, [&](Func m) {
      const auto call = call_of(m, f.update_value(update));
      if (!from_lanes || call.empty()) return;
      // steps of the sum by rows of the tile, or the other way round
      const bool along_sum = uses(call[0], loop);
      const int rows = numbers.at("row_tile"), across = along_sum ? steps : rows, down = along_sum ? rows : steps;
      Var first = m.args()[0], second = m.args()[1];
      if (across % vector != 0) return;
      // all of them, however many of the last are left out
      m.compute_at(f, loop)
          .bound_extent(first, across)
          .bound_extent(second, down)
          .vectorize(first, vector, TailStrategy::RoundUp)
          .unroll(first)
          .unroll(second);
    });
  }

  void table(Func f) const {
    f.compute_root()
        .bound(f.args()[0], 0, kernel.chunk())  // from the first token on, even where only the last one is asked for
        .store_in(MemoryType::Stack)
        .vectorize(f.args()[0], vector);
  }

  void scores(Func f, Func output) {
    Var j = f.args()[0], row = f.args()[1], ji("ji");
    const int columns = numbers.at("score_vectors") * vector;
    f.compute_at(output, output.args()[1])
        .bound_storage(j, kernel.chunk())
        .store_in(MemoryType::Stack)
        .split(j, j, ji, columns, TailStrategy::RoundUp)
        .reorder(ji, row, j)
        .vectorize(ji, vector)
        .unroll(ji)
        .unroll(row);
    accumulate(find(Role::outer), f, j, numbers.at("score_unroll"));
  }

  void output(Func f) {
    if (is_causal(kernel.instance().kernel)) f.bound(f.args()[1], 0, kernel.chunk());
    tile(f, numbers.at("row_tile"), numbers.at("column_vectors"));
    accumulate(find(Role::numerator), f, f.args()[0], numbers.at("unroll"));
    each(Role::scores, [&](Func s) { scores(s, f); });
  }

  void state(Func f) {
    Var x = f.args()[0], key = f.args()[1];
    const int columns = numbers.at("column_vectors");
    tile(f, numbers.at("row_tile"), columns);
    f.reorder(xi, ii, key, x);
    accumulate(find(Role::outer), f, key, numbers.at("unroll"));
    each(Role::scaled, [&](Func s) {
      s.compute_at(f, x)
          .bound_storage(s.args()[0], columns * vector)
          .bound_storage(s.args()[1], kernel.chunk())
          .store_in(MemoryType::Stack)
          .vectorize(s.args()[0], vector)
          .unroll(s.args()[0]);
    });
  }

  // Several vectors side by side where the width allows, so that sums overlap; one where it does not.
  void column_sum(Func f, Func owner) {
    Var x = owner.args()[0], wide("wide");
    const auto split = [&](Stage stage, int vectors) {
      stage.split(x, wide, xi, vectors * vector, TailStrategy::RoundUp).vectorize(xi, vector).unroll(xi);
    };
    const int columns = kSumVectors * vector;
    split(owner.specialize(owner.output_buffers()[0].dim(0).extent() % columns == 0), kSumVectors);
    split(owner, 1);
    Var u = f.args()[0];
    f.compute_at(owner, wide).vectorize(u, vector).unroll(u);
    for (int s = 0; s < f.num_update_definitions(); s++)
      f.update(s).reorder(u, f.rvars(s)[0]).vectorize(u, vector).unroll(u);
  }

  void lane_sums(Func f, Func output) {
    Var u = f.args()[0], i = f.args()[1];
    f.compute_at(output, output.args()[1]).unroll(i).vectorize(u);
    for (int s = 0; s < f.num_update_definitions(); s++) {
      Stage stage = f.update(s);
      // every row takes a block of lanes before the next block: rows apart would be loops of their own
      std::vector<VarOrRVar> order{u, i};
      for (const RVar& r : f.rvars(s)) order.push_back(r);
      stage.reorder(order).vectorize(u).unroll(i);
    }
  }

  void row_sum(Func f) const {
    if (Func output = find(Role::output); output.defined() && find(Role::per_row).defined())
      f.compute_at(output, output.args()[1]).unroll(f.args()[0]);
    else if (Func owner = find(Role::per_token); owner.defined())
      f.compute_at(owner, owner.args()[0]);
    else
      f.compute_root().bound_storage(f.args()[0], std::max(kernel.chunk(), kStretch)).store_in(MemoryType::Stack);
    for (int s = 0; s < f.num_update_definitions(); s++) {
      Stage stage = f.update(s);
      stage.atomic().vectorize(f.rvars(s)[0], lanes_of(f, s));
      if (find(Role::per_row).defined()) stage.unroll(f.args()[0]);
    }
  }

  // A reduction across lanes is as wide as the lanes are; one along a row is a vector at a time.
  int lanes_of(Func f, int s) const {
    const auto extent = f.update(s).get_schedule().rvars()[0].extent;
    const auto lanes = Internal::as_const_int(extent);
    return lanes ? static_cast<int>(*lanes) : vector;
  }

  void projected(Func f) {
    tile(f, numbers.at("row_tile"), numbers.at("column_vectors"));
    accumulate(find(Role::outer), f, f.args()[0], numbers.at("unroll"));
  }

  void rows(Func f) const {
    Var c = f.args()[0], i = f.args()[1];
    // several rows at once: a row alone is few vectors, and starting on it costs as much as two of them
    f.split(c, c, xi, vector, TailStrategy::RoundUp)
        .split(i, i, ii, numbers.at("row_tile"), TailStrategy::RoundUp)
        .reorder(xi, ii, c, i)
        .vectorize(xi)
        .unroll(ii);
    for (int s = 0; s < f.num_update_definitions(); s++) {
      const auto r = f.rvars(s);
      std::vector<VarOrRVar> order(r.begin(), r.end());
      order.push_back(i);
      // lanes of one block write different columns; that blocks overlap is the intent, and they stay in order
      f.update(s).reorder(order).allow_race_conditions().vectorize(r[0], vector);
    }
  }

  // In the tiles of scores, of which this is all that a chunk has.
  void system(Func f) {
    Var j = f.args()[0], i = f.args()[1];
    tile(f, numbers.at("row_tile"), numbers.at("score_vectors"));
    f.compute_root().bound(j, 0, kernel.chunk()).bound(i, 0, kernel.chunk()).store_in(MemoryType::Stack);
    accumulate(find(Role::outer), f, j, numbers.at("score_unroll"));
  }

  // A row that is known is taken from all later ones, which do not wait for each other.
  void solve(Func f) const {
    f.compute_root()
        .bound(f.args()[0], 0, kernel.chunk())
        .bound(f.args()[1], 0, kernel.chunk())
        .store_in(MemoryType::Stack)
        .vectorize(f.args()[0], vector)
        .update()
        .reorder(f.args()[0], f.rvars()[0], f.rvars()[1])
        .vectorize(f.args()[0], vector);
  }

  // Row after row, all columns of one before the next.
  void carried(Func f) const {
    f.compute_root().vectorize(f.args()[0], vector, TailStrategy::RoundUp);
    for (int s = 0; s < f.num_update_definitions(); s++) {
      const auto rows_of = f.rvars(s);
      std::vector<VarOrRVar> order{f.args()[0]};
      order.insert(order.end(), rows_of.begin(), rows_of.end());
      f.update(s).reorder(order).vectorize(f.args()[0], vector, TailStrategy::RoundUp);
    }
  }

  // A few tokens at a time: one loop over the rows of a state, each of which is read and written once and gives to all
  // outputs, which stay in registers.
  void few_tokens() {
    const auto vectors = numbers.find("column_vectors");
    const int columns = vectors == numbers.end() ? kLanes : vectors->second * vector;
    const int few = kernel.taken();
    const auto across = [&](Stage stage, const Var& x) { stage.vectorize(x, std::min(columns, vector)).unroll(x); };
    // whole, in registers or where an output is
    const auto tile = [&](Func f) {
      const Var x = f.args()[0], token = f.args()[1];
      f.bound(x, 0, columns).bound(token, 0, few);
      f.unroll(token);
      across(f, x);
    };
    const auto in_registers = [&](Func f) {
      tile(f);
      f.compute_root().store_in(MemoryType::Stack);
    };
    // what a tile has of every row, one after the other
    const auto sum = [&](Func f, const RVar& row) {
      const std::vector<Var> args = f.args();
      std::vector<VarOrRVar> order(args.begin(), args.end());
      order.emplace_back(row);
      across(f.update().reorder(order).unroll(args[1]), args[0]);
    };
    each(Role::few_rows, tile);
    each(Role::added, [&](Func f) {
      in_registers(f);
      for (int s = 0; s < f.num_update_definitions(); s++) {
        const auto pair = f.rvars(s);
        across(f.update(s).reorder(f.args()[0], pair[0], pair[1]).unroll(pair[0]).unroll(pair[1]), f.args()[0]);
      }
    });
    each(Role::read_first, [&](Func f) {
      const RVar key = f.rvars(0)[0], part("part");
      in_registers(f);
      if (numbers.at("sums") == 1) return sum(f, key);
      const Var own("own");
      Func sums = f.update().split(key, key, part, numbers.at("sums")).rfactor(part, own);
      across(f.update().reorder(f.args()[0], f.args()[1], part).unroll(f.args()[1]).unroll(part), f.args()[0]);
      in_registers(sums);
      sums.unroll(own).update().unroll(own);
      sum(sums, key);
    });
    Func first;  // of those that take part in the loop
    each(Role::met, [&](Func f) {
      const RVar key = f.rvars(0)[0];
      in_registers(f);
      sum(f, key);
      if (first.defined())
        f.update().compute_with(first.update(), key);
      else
        first = f;
    });
    each(Role::walked, [&](Func f) {
      const Var x = f.args()[0];
      f.bound(x, 0, columns);
      for (int s = 0; s < f.num_update_definitions(); s++) across(f.update(s).reorder(x, f.rvars(s)[0]), x);
      if (first.defined())
        f.update(0).compute_with(first.update(), f.rvars(0)[0]);
      else
        first = f;
    });
    each(Role::steps, [&](Func f) {
      const Var x = f.args()[0], row = f.args()[1], token = f.args()[2];
      f.compute_at(first, first.rvars(0)[0])
          .bound(x, 0, columns)
          .bound_extent(row, 1)
          .bound(token, 0, few + 1)
          .store_in(MemoryType::Stack);
      for (int s = 0; s < f.num_update_definitions(); s++) {
        std::vector<VarOrRVar> order{x};
        for (const RVar& r : f.rvars(s)) order.push_back(r);
        order.push_back(row);
        Stage stage = f.update(s).reorder(order);
        for (const RVar& r : f.rvars(s)) stage.unroll(r);
        across(stage, x);
      }
    });
    each(Role::few_sums, [&](Func f) {
      f.compute_root().store_in(MemoryType::Stack).vectorize(f.args()[0]);
      f.update().atomic().vectorize(f.rvars(0)[0]).unroll(f.args()[0]);
    });
    each(Role::few_numbers, [&](Func f) { f.bound(f.args()[0], 0, few).vectorize(f.args()[0]); });
  }

  void token_pairs(Func f) const {
    const auto pair = f.rvars(0);
    f.update().unroll(pair[0]).unroll(pair[1]);
    each(Role::few_lanes, [&](Func g) {
      const Var lane = g.args()[0];
      if (!g.has_update_definition()) {
        g.compute_at(f, pair[0]).vectorize(lane);
        return;
      }
      const auto r = g.rvars(0);
      g.compute_at(f, pair[2]).store_in(MemoryType::Stack).vectorize(lane).unroll(g.args()[1]).unroll(g.args()[2]);
      // a vector of each sum after the other: all lanes of a tile's sums are more than narrow vectors have registers
      // for
      Var part("part");
      g.update()
          .split(lane, part, lane, vector)
          .reorder(lane, r[0], r[1], r[2], part)
          .vectorize(lane)
          .unroll(r[0])
          .unroll(r[1]);
    });
  }

  // One pair at a time, its lanes in a register: the sums across lanes are few beside those along the rows.
  void pairs(Func f) const {
    const LoopLevel pair(f, f.rvars(0)[0]), row(f, f.args()[1]);
    each(Role::pair_sum,
         [&](Func g) { g.compute_at(g.dimensions() == 2 ? pair : row).update().atomic().vectorize(g.rvars(0)[0]); });
    each(Role::pair_lanes, [&](Func g) {
      g.compute_at(g.dimensions() == 3 ? pair : row).vectorize(g.args()[0]).update().vectorize(g.args()[0]);
    });
  }

  // Vectors along the rows that are read, several rows side by side: the stores interleave into dense ones.
  void columns(Func f) {
    Var token = f.args()[0], key = f.args()[1];
    const auto interleave = [&](Stage stage) {
      stage.tile(token, key, ii, xi, kTransposed, vector).reorder(xi, ii, token, key).vectorize(xi).unroll(ii);
    };
    // stores interleave only where the compiler knows how far apart they are
    for (int apart : std::set<int>{kernel.chunk(), 64, 128})
      interleave(f.specialize(f.output_buffer().dim(1).stride() == apart));
    interleave(f);
  }
};

void apply(Kernel& kernel, const Numbers& numbers, const Target& target) {
  Roles roles{kernel, numbers, lanes(target), by_lane(target)};
  roles.each(Role::table, [&](Func f) { roles.table(f); });
  roles.each(Role::output, [&](Func f) { roles.output(f); });
  roles.each(Role::state, [&](Func f) { roles.state(f); });
  for (Role role : {Role::copy, Role::recurrence})
    roles.each(role, [&](Func f) { f.vectorize(f.args()[0], roles.vector, TailStrategy::RoundUp); });
  roles.each(Role::scattered, [&](Func f) {
    f.vectorize(f.args()[0], roles.vector, TailStrategy::RoundUp);
    for (int u = 0; u < f.num_update_definitions(); u++) f.update(u).unscheduled();
  });
  roles.each(Role::column_sum, [&](Func f) { roles.column_sum(f, roles.find(Role::vector)); });
  roles.each(Role::lanes, [&](Func f) { roles.lane_sums(f, roles.find(Role::output)); });
  roles.each(Role::per_row, [&](Func f) {
    Func output = roles.find(Role::output);
    f.compute_at(output, output.args()[1]).vectorize(f.args()[0]);
  });
  roles.each(Role::row_sum, [&](Func f) { roles.row_sum(f); });
  roles.each(Role::system, [&](Func f) { roles.system(f); });
  roles.each(Role::solve, [&](Func f) { roles.solve(f); });
  roles.each(Role::serial, [](Func f) { f.compute_root(); });
  roles.each(Role::carried, [&](Func f) { roles.carried(f); });
  if (kernel.taken() > 0) roles.few_tokens();
  roles.each(Role::pair, [&](Func f) { roles.token_pairs(f); });
  roles.each(Role::pairs, [&](Func f) { roles.pairs(f); });
  roles.each(Role::projected, [&](Func f) { roles.projected(f); });
  roles.each(Role::rows, [&](Func f) { roles.rows(f); });
  roles.each(Role::columns, [&](Func f) { roles.columns(f); });
}

Grains grains(const Instance& instance, const Numbers& numbers, const Target& target) {
  if (!has_tiles(instance.kernel)) return {16, lanes(target), 1};
  // a system of equations is as wide as its chunk is long
  const auto across = numbers.find("column_vectors");
  return {16, (across == numbers.end() ? 1 : across->second) * lanes(target),
          instance.kernel == "state" ? 1 : numbers.at("row_tile")};
}

}  // namespace

const Family cpu_family{apply, grains};

}  // namespace lathe::gen
