// How a GPU runs each role, plainly: a thread owns one element, a block a square of them; sums stay in registers. Only
// scores are shared by the threads of a block. A launch is all items and heads of a call (batch.h), each with blocks of
// its own. It is there to be right on any device; nothing in it is tuned.
#include <algorithm>

#include "batch.h"
#include "schedule.h"

namespace lathe::gen {

namespace {

using namespace Halide;

constexpr int kSide = 16;  // of a block's square: 256 threads, which every device allows

// One kernel being scheduled. Roles without a line here are computed where they are used: tables, scaled operands.
struct Roles {
  Kernel& kernel;
  Var block_x{"block_x"}, block_i{"block_i"}, batch{"batch"}, x{"x_thread"}, i{"i_thread"};

  Func find(Role role) const {
    for (const Labelled& l : kernel.labelled())
      if (l.role == role) return l.func;
    return {};
  }
  template <typename Schedule>
  void each(std::initializer_list<Role> roles, Schedule schedule) const {
    for (const Labelled& l : kernel.labelled())
      if (std::find(roles.begin(), roles.end(), l.role) != roles.end()) schedule(l.func);
  }

  // As its algorithm has it.
  static int rank(const Func& f) { return f.dimensions() - kBatchDimensions; }
  // Items and heads are the innermost blocks: of those there may be 2^31, of others 65535.
  template <typename Stage>
  void batched(Stage&& stage, const Func& f, std::initializer_list<Var> blocks) const {
    const std::vector<Var> args = f.args();
    stage.fuse(args[args.size() - 2], args.back(), batch).gpu_blocks(batch);
    for (const Var& block : blocks) stage.reorder(batch, block);
  }

  // Computed inside another's blocks. Halide does not see that those are of one item and head.
  void of_one_item(Func f) const {
    for (int d = rank(f); d < f.dimensions(); d++) f.bound_extent(f.args()[static_cast<size_t>(d)], 1);
  }

  // Extents are multiples of the side: see grains().
  void squares(Func f) const {
    f.compute_root().gpu_tile(f.args()[0], f.args()[1], block_x, block_i, x, i, kSide, kSide, TailStrategy::RoundUp);
    batched(f, f, {block_x, block_i});
  }
  void line(Func f) const {
    f.compute_root().gpu_tile(f.args()[0], block_x, x, kSide, TailStrategy::RoundUp);
    batched(f, f, {block_x});
  }

  // In the registers of the thread that owns the element. Memory of a block would be shared, and is named so below.
  void accumulate(Func f, Func owner) const {
    if (f.defined()) of_one_item(f.compute_at(owner, x).store_in(MemoryType::Register));
  }

  // The side's rows of all tokens of the chunk, a square at a time. The threads are those of the output's square.
  void scores(Func f, Func output) const {
    Var j = f.args()[0], row = f.args()[1];
    f.compute_at(output, batch)
        .store_in(MemoryType::GPUShared)
        .bound(j, 0, kernel.chunk())
        .split(j, block_i, x, kSide, TailStrategy::RoundUp)
        .reorder(x, row, block_i)
        .gpu_threads(x, row);
    of_one_item(f);
    accumulate(find(Role::outer), f);
  }

  void output(Func f) const {
    if (kernel.instance().kernel.starts_with("causal")) f.bound(f.args()[1], 0, kernel.chunk());
    squares(f);
    accumulate(find(Role::numerator), f);
    each({Role::scores}, [&](Func s) { scores(s, f); });
  }

  // A thread owns a row of pairs, one after the other.
  void pairs(Func f) const {
    f.compute_root().gpu_tile(f.args()[1], block_x, x, kSide, TailStrategy::RoundUp);
    batched(f, f, {block_x});
    updates(f, 1);
    const LoopLevel pair(f, f.rvars(0)[0]), row(f, x);
    each({Role::pair_sum}, [&](Func g) { g.compute_at(rank(g) == 2 ? pair : row); });
    each({Role::pair_lanes}, [&](Func g) { g.compute_at(rank(g) == 3 ? pair : row); });
  }

  // A thread owns an element of all states, one after the other.
  void states(Func f) const {
    f.compute_root();
    const auto args = f.args();
    for (int u = 0; u < f.num_update_definitions(); u++)
      batched(f.update(u).gpu_tile(args[0], args[1], block_x, block_i, x, i, kSide, kSide, TailStrategy::GuardWithIf),
              f, {block_x, block_i});
  }

  // A thread places an element. No two have one place, which Halide cannot see.
  void placed(Func f) const {
    f.compute_root();
    const std::vector<RVar> r = f.rvars(0);
    RVar element("element"), block("block"), thread("thread");
    Stage stage = f.update().allow_race_conditions();
    stage.fuse(r[0], r[1], element)
        .split(element, block, thread, kSide * kSide, TailStrategy::GuardWithIf)
        .gpu_threads(thread)
        .gpu_blocks(block);
    const std::vector<Var> args = f.args();
    stage.fuse(args[args.size() - 2], args.back(), batch).gpu_blocks(batch).reorder(batch, block);
  }

  // Later stages by one dimension; whatever they walk besides, one thread walks in order.
  void updates(Func f, int dimension) const {
    for (int u = 0; u < f.num_update_definitions(); u++)
      batched(f.update(u).gpu_tile(f.args()[dimension], block_x, x, kSide, TailStrategy::GuardWithIf), f, {block_x});
  }

  // Sums of the thread's own row, where the row has a thread; else a kernel of their own.
  void sums(Func f) const {
    for (Role role : {Role::per_token, Role::output})
      if (Func owner = find(role); owner.defined()) return accumulate(f, owner);
    line(f);
    updates(f, 0);
  }
};

void apply(Kernel& kernel, const Numbers&, const Target&) {
  batch(kernel);
  const Roles roles{kernel};
  roles.each({Role::output}, [&](Func f) { roles.output(f); });
  roles.each({Role::state, Role::projected, Role::system}, [&](Func f) {
    roles.squares(f);
    roles.accumulate(roles.find(Role::outer), f);
  });
  roles.each({Role::copy, Role::columns, Role::recurrence},
             [&](Func f) { Roles::rank(f) == 1 ? roles.line(f) : roles.squares(f); });
  roles.each({Role::carried, Role::solve}, [&](Func f) {
    roles.squares(f);
    roles.updates(f, 0);
  });
  roles.each({Role::states}, [&](Func f) { roles.states(f); });
  roles.each({Role::pairs}, [&](Func f) { roles.pairs(f); });
  // parts of a row may overlap, and the later one must win: a row is one thread's
  roles.each({Role::rows, Role::scattered}, [&](Func f) {
    roles.squares(f);
    roles.updates(f, 1);
  });
  roles.each({Role::placed}, [&](Func f) { roles.placed(f); });
  roles.each({Role::serial}, [&](Func f) {
    f.compute_root();
    for (int u = 0; u < f.num_update_definitions(); u++) roles.batched(f.update(u), f, {});
  });
  roles.each({Role::vector}, [&](Func f) {
    roles.line(f);
    roles.accumulate(roles.find(Role::column_sum), f);
  });
  roles.each({Role::per_token}, [&](Func f) { roles.line(f); });
  roles.each({Role::row_sum, Role::lanes}, [&](Func f) { roles.sums(f); });
}

Grains grains(const Instance&, const Numbers&, const Target&) { return {kSide, kSide, kSide}; }

}  // namespace

const Family gpu_family{apply, grains};

}  // namespace lathe::gen
