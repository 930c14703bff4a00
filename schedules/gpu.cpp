// How a GPU runs each role. Products of matrices: a thread owns a tile of them in registers, and takes its operands
// four at a time. Everything else: a thread owns one element, a block a square of them. What all threads of a block
// read, scores, denominators, decays, is shared by them. A launch is all items and heads of a call (batch.h), each with
// blocks of its own.
#include <algorithm>

#include "batch.h"
#include "reads.h"
#include "schedule.h"
#include "spaces.h"
#include "sum_tile.h"

namespace lathe::gen {

namespace {

using namespace Halide;

constexpr int kSide = 16;              // of a block's square: 256 threads, which every device allows
constexpr int kAcross = 8;             // threads of a block of tiles that lie side by side
constexpr int kVector = 4;             // floats of the widest load there is
constexpr int kRows = 64;              // of a block of tiles, where they are not those of a chunk
constexpr int kParts = 8;              // threads that share the rows of a state
constexpr int kSteps = 8;              // and rows that each of them asks for at once
constexpr int kMostShared = 40 << 10;  // bytes that a block's scores or rows may take of 48 KiB

// One kernel being scheduled. Roles without a line here are computed where they are used: tables, scaled operands.
struct Roles {
  Kernel& kernel;
  const Numbers& numbers;
  const bool opencl;
  Var block_x{"block_x"}, block_i{"block_i"}, batch{"batch"}, x{"x_thread"}, i{"i_thread"}, xi{"xi"}, ii{"ii"};

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
  void batched(Stage&& stage, const Func& f, std::initializer_list<VarOrRVar> blocks) const {
    const std::vector<Var> args = f.args();
    stage.fuse(args[args.size() - 2], args.back(), batch).gpu_blocks(batch);
    for (const VarOrRVar& block : blocks) stage.reorder(batch, block);
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
  // The same by threads that own four columns of a row each, where rows are the workspace's: to find an item and its
  // head takes two divisions, which all four share.
  void quads(Func f) const {
    Var column = f.args()[0], row = f.args()[1];
    f.compute_root()
        .split(column, block_x, x, kSide, TailStrategy::RoundUp)
        .split(x, x, xi, kVector, TailStrategy::RoundUp)
        .split(row, block_i, i, kSide, TailStrategy::RoundUp)
        .reorder(xi, x, i, block_x, block_i)
        .gpu_threads(x, i)
        .gpu_blocks(block_x, block_i);
    // Halide 21 has no vectors of strict comparisons for OpenCL, and says so in an internal error
    opencl ? f.unroll(xi) : f.vectorize(xi);
    batched(f, f, {block_x, block_i});
  }
  void line(Func f) const {
    f.compute_root().gpu_tile(f.args()[0], block_x, x, kSide, TailStrategy::RoundUp);
    batched(f, f, {block_x});
  }

  // A row of columns, each a sum over the rows of a state: a thread owns four columns of every eighth eight rows.
  void row_of_sums(Func f) const {
    Func sum = find(Role::column_sum);
    const Var column = f.args()[0];
    f.compute_root();
    const std::vector<RVar> r = f.has_update_definition() ? f.rvars(0) : std::vector<RVar>{};
    const RVar thread(x.name()), block(block_x.name());
    if (r.empty()) {
      f.split(column, column, xi, kVector, TailStrategy::RoundUp)
          .split(column, block_x, x, kSide, TailStrategy::GuardWithIf)
          .reorder(xi, x, block_x)
          .vectorize(xi)
          .gpu_threads(x)
          .gpu_blocks(block_x);
      batched(f, f, {block_x});
    } else {
      Stage stage = f.update().allow_race_conditions();
      stage.split(r[1], block, thread, kSide, TailStrategy::GuardWithIf)
          .reorder(r[0], thread, block)
          .vectorize(r[0])
          .gpu_threads(thread)
          .gpu_blocks(block);
      batched(stage, f, {block});
    }
    accumulate(sum, f);
    // what is read of the state before: the block reads it twice, and so once from memory
    each({Role::added}, [&](Func g) {
      const Var c = g.args()[0];
      of_one_item(g.compute_at(f, batch).store_in(MemoryType::GPUShared).bound_storage(c, kSide * kVector));
      g.split(c, c, xi, kVector, TailStrategy::RoundUp)
          .split(c, c, x, kSide, TailStrategy::GuardWithIf)
          .reorder(xi, x, c)
          .vectorize(xi)
          .gpu_threads(x);
      accumulate(find(Role::read_first), g);
      in_parts(find(Role::read_first), f);
    });
    in_parts(sum, f);
  }

  // Such a sum by threads of a block, each of which has a part of the rows.
  void in_parts(Func sum, Func output) const {
    RVar row = sum.rvars(0)[0], round("round"), step("step"), parts("parts");
    Var part("part");
    std::vector<Func> of_rows, of_columns;
    each({Role::loaded}, [&](Func g) {
      const auto call = call_of(g, sum.update_value());
      if (!call.empty()) (uses(call[rank(g) - 1], row) ? of_rows : of_columns).push_back(g);
    });
    sum.update().split(row, round, step, kSteps).split(round, round, parts, kParts, TailStrategy::GuardWithIf);
    Func some = sum.update().rfactor(parts, part);
    Func together = some.in(sum);
    for (const Func& g : {some, together})  // whose last dimension is that of parts
      for (int d = 1; d <= kBatchDimensions; d++) Func(g).bound_extent(g.args()[static_cast<size_t>(d)], 1);
    vectors(sum);
    sum.update().unroll(parts);
    const Var c = together.args()[0];
    together.compute_at(output, batch)
        .store_in(MemoryType::GPUShared)
        .bound_storage(c, kSide * kVector)
        .bound(part, 0, kParts)
        .split(c, c, xi, kVector, TailStrategy::RoundUp)
        .split(c, c, x, kSide, TailStrategy::GuardWithIf)
        .reorder(xi, x, part, c)
        .vectorize(xi)
        .gpu_threads(x, part);
    some.compute_at(together, x).store_in(MemoryType::Register);
    vectors(some);
    some.update().reorder({some.args()[0], step, round}).unroll(step);
    // all before the first store, which may change whatever is read after it, as far as anybody can tell
    for (const Func& g : of_rows) {
      Func here = Func(g).in(some);
      accumulate(here, some, round);
      vectors(here);
      const Var key = here.args()[static_cast<size_t>(rank(g) - 1)];
      here.bound_extent(key, kSteps).unroll(key);
    }
    for (const Func& g : of_columns) {
      Func here = Func(g).in(some);
      accumulate(here, together, x);
      vectors(here);
    }
    if (find(Role::read_first).defined()) return;  // else two sums read them
    each({Role::begin}, [&](Func g) { accumulate(g, together, x); });
  }
  static void vectors(Func f) {
    f.vectorize(f.args()[0], kVector);
    for (int u = 0; u < f.num_update_definitions(); u++) f.update(u).vectorize(f.args()[0], kVector);
  }

  // In the registers of the thread that owns the element. Memory of a block would be shared, and is named so below.
  void accumulate(Func f, Func owner) const { accumulate(f, owner, x); }
  void accumulate(Func f, Func owner, const VarOrRVar& loop) const {
    if (f.defined()) of_one_item(f.compute_at(LoopLevel(owner, loop)).store_in(MemoryType::Register));
  }

  // Tiles of the workspace: whatever is a row or further apart is so by whole vectors.
  void align() const {
    const auto aligned = [](auto& buffer) {
      for (int d = 1; d < buffer.dimensions(); d++)
        if (!buffer.dim(d).stride().same_as(Expr()))
          buffer.dim(d).set_stride(buffer.dim(d).stride() / kVector * kVector);
      buffer.set_host_alignment(kVector * sizeof(float));
    };
    const bool sums = find(Role::column_sum).defined();
    for (ImageParam& input : kernel.inputs())
      if (rank_of(input) == 2 || (sums && rank_of(input) == 1) || kernel.buffers_of_tokens().contains(input.name()))
        aligned(input);
    for (Func f : kernel.outputs())
      for (OutputImageParam buffer : f.output_buffers()) aligned(buffer);
  }
  static int rank_of(const ImageParam& input) { return input.dimensions() - kBatchDimensions; }

  int rows_of_tile() const { return numbers.at("row_tile"); }
  // All of a chunk, or as many as let a block share their scores.
  int rows_of_block() const {
    const Func scores = find(Role::scores);
    const int bytes = static_cast<int>(sizeof(float)) * kernel.chunk() * (scores.defined() ? scores.outputs() : 0);
    int rows = kernel.chunk();
    while (rows * bytes > kMostShared && rows % (2 * rows_of_tile()) == 0) rows /= 2;
    return rows;
  }

  // Extents are multiples of the side, and so of the tiles; blocks may reach further.
  void tiles(Func f, int rows, TailStrategy tail) const {
    Var column = f.args()[0], row = f.args()[1];
    f.compute_root()
        .split(column, column, xi, numbers.at("column_tile"), TailStrategy::RoundUp)
        .split(row, row, ii, rows_of_tile(), TailStrategy::RoundUp)
        .split(column, block_x, x, kAcross, TailStrategy::GuardWithIf)
        .split(row, block_i, i, rows / rows_of_tile(), tail)
        .reorder(xi, ii, x, i, block_x, block_i)
        .vectorize(xi, kVector)
        .unroll(xi)
        .unroll(ii)
        .gpu_threads(x, i)
        .gpu_blocks(block_x, block_i);
    batched(f, f, {block_x, block_i});
  }

  // The sums of a tile, in the registers of its thread.
  void tile(Func f, Func owner, int unroll) const {
    accumulate(f, owner);
    sum_tile(f, kVector, unroll, kernel.grain(), [&](int u, const RVar& r) { multipliers(f, u, r, unroll); });
  }

  // Of several steps and rows at once, in whichever direction they lie side by side.
  void multipliers(Func f, int update, const RVar& loop, int steps) const {
    each({Role::multiplier}, [&](Func m) {
      const auto call = call_of(m, f.update_value(update));
      if (call.empty()) return;
      const bool along_sum = uses(call[0], loop);
      Var first = m.args()[0], second = m.args()[1];
      m.compute_at(f, loop).store_in(MemoryType::Register);
      m.bound_extent(first, along_sum ? steps : rows_of_tile())
          .bound_extent(second, along_sum ? rows_of_tile() : steps);
      of_one_item(m);
      const Func scores = find(Role::scores);
      const bool turned = scores.defined() && !call_of(scores, m.value()).empty();
      if (turned) m.reorder_storage(second, first);
      const Var vector = turned ? second : first;
      const bool wide = (turned == along_sum ? rows_of_tile() : steps) % kVector == 0;
      if (wide) m.vectorize(vector, kVector);
      m.unroll(first).unroll(second);
    });
  }

  // The block's rows of all tokens of the chunk, a tile for each thread at a time, with the rows of a tile side by
  // side. Half a warp has four tiles by four, so that a load of either operand finds four rows of tokens; with eight by
  // two those of keys find eight, each in the same banks, which takes an H100 5 to 8 % longer.
  void scores(Func f, Func output) const {
    Var j = f.args()[0], row = f.args()[1], round("round"), far("far"), odd("odd");
    f.compute_at(output, batch)
        .store_in(MemoryType::GPUShared)
        .bound(j, 0, kernel.chunk())
        .bound_storage(j, kernel.chunk())
        .reorder_storage(row, j)
        .split(j, j, xi, columns_of_scores(), TailStrategy::RoundUp)
        .split(row, row, ii, rows_of_tile(), TailStrategy::RoundUp)
        .split(j, round, j, kAcross, TailStrategy::GuardWithIf)
        .split(j, far, x, kAcross / 2)
        .split(row, i, odd, 2, TailStrategy::GuardWithIf)
        .fuse(x, odd, x)
        .fuse(i, far, i)
        .reorder(ii, xi, x, i, round)
        .unroll(xi)
        .gpu_threads(x, i);
    if (rows_of_tile() % kVector == 0) f.vectorize(ii, kVector);
    f.unroll(ii);
    of_one_item(f);
    dots(find(Role::outer), f);
  }

  // Of a tile, so that all threads of a block have one: half of them, in chunks of 32, if tiles were as wide as others.
  int columns_of_scores() const { return std::min(kernel.chunk() / kAcross, numbers.at("column_tile")); }

  // A tile of products of rows with rows: both lie along the sum, of which a vector is taken at once, and as many as
  // make a round as long as one of a wide tile. One column of the tile after the other: with vectors of all eight at
  // hand a thread has 222 registers on sm_80 in place of 188, and two warps fewer run at once.
  void dots(Func f, Func owner) const {
    const Var j = f.args()[0], row = f.args()[1];
    accumulate(f, owner);
    f.unroll(j).unroll(row);
    const int vectors = numbers.at("column_tile") / columns_of_scores();
    RVar r = f.rvars(0)[0], step("step"), round("round");
    f.update()
        .split(r, round, r, vectors * kVector)
        .split(r, r, step, kVector)
        .reorder({step, row, j, r, round})
        .unroll(step)
        .unroll(row)
        .unroll(j)
        .unroll(r);
    multipliers(f, 0, r, kVector);
    each({Role::turned}, [&](Func t) {
      t.compute_at(f, j).store_in(MemoryType::Register);
      t.bound_extent(t.args()[0], 1).bound_extent(t.args()[1], kVector);
      of_one_item(t);
      t.reorder_storage(t.args()[1], t.args()[0]).vectorize(t.args()[1], kVector);
    });
  }

  // A number for each row of a block or token of a chunk, each made by one thread.
  void shared_row(Func f, const LoopLevel& block) const {
    f.compute_at(block)
        .store_in(MemoryType::GPUShared)
        .split(f.args()[0], i, x, kAcross, TailStrategy::RoundUp)
        .gpu_threads(x, i);
    of_one_item(f);
  }

  // The same of rows that are placed, by blocks of columns: (column, block, row). No two have one place, which Halide
  // cannot see.
  void placed_tiles(Func f, int rows) const {
    f.compute_root();
    const std::vector<RVar> r = f.rvars(0);
    RVar column("column"), xr(xi.name()), ir(ii.name()), row("row"), thread_x(x.name()), thread_i(i.name()),
        bx(block_x.name()), bi(block_i.name());
    Stage stage = f.update().allow_race_conditions();
    stage.split(r[0], column, xr, numbers.at("column_tile"))
        .fuse(column, r[1], column)
        .split(r[2], row, ir, rows_of_tile())
        .split(column, bx, thread_x, kAcross, TailStrategy::GuardWithIf)
        .split(row, bi, thread_i, rows / rows_of_tile())
        .reorder(xr, ir, thread_x, thread_i, bx, bi)
        .vectorize(xr, kVector)
        .unroll(xr)
        .unroll(ir)
        .gpu_threads(thread_x, thread_i)
        .gpu_blocks(bi);
    batched(stage, f, {bi});
    // A block makes its scores once, for all blocks of columns. Where there is one, code of its own keeps out of
    // registers what many share: 186 on sm_80, else 255.
    stage.reorder(bx, batch);
    stage.specialize(f.output_buffer().dim(0).extent() == kAcross * numbers.at("column_tile"));
    Func sum = find(Role::numerator);
    sum.bound_extent(sum.args()[0], numbers.at("column_tile")).bound_extent(sum.args()[1], rows_of_tile());
  }

  void output(Func f) const {
    const bool causal = is_causal(kernel.instance().kernel);
    if (f.has_update_definition())
      placed_tiles(f, rows_of_block());
    else
      tiles(f, causal ? rows_of_block() : kRows, causal ? TailStrategy::RoundUp : TailStrategy::GuardWithIf);
    tile(find(Role::numerator), f, numbers.at("unroll"));
    each({Role::scores}, [&](Func s) { scores(s, f); });
    each({Role::per_row}, [&](Func inverse) {
      shared_row(inverse, LoopLevel(f, batch));
      each({Role::row_sum}, [&](Func sum) {
        accumulate(sum, inverse);
        // of lanes, which else would be indexed and so no registers
        for (int u = 0; u < sum.num_update_definitions(); u++) sum.update(u).unroll(sum.rvars(u)[0]);
      });
      each({Role::lanes}, [&](Func lane) { lanes(lane, inverse); });
    });
  }

  void lanes(Func f, Func owner) const {
    accumulate(f, owner);
    f.vectorize(f.args()[0], kVector).unroll(f.args()[0]);
    for (int u = 0; u < f.num_update_definitions(); u++)
      f.update(u).vectorize(f.args()[0], kVector).unroll(f.args()[0]);
  }

  void product(Func f) const {
    tiles(f, kRows, TailStrategy::GuardWithIf);
    tile(find(Role::outer), f, numbers.at("unroll"));
    each({Role::table}, [&](Func t) { shared_row(t.bound(t.args()[0], 0, kernel.chunk()), LoopLevel(f, batch)); });
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

  // A thread owns a tile of all states of a sequence, one after the other. Blocks are few, and so one copies the rows
  // of a chunk at once: with rows read as they are needed, threads mostly wait. walks.h has them asked for a chunk
  // ahead.
  void walk(Func f) const {
    const Var column = f.args()[0], row = f.args()[1];
    const int columns = kAcross * numbers.at("column_tile"), rows = rows_beside(columns), down = rows / rows_of_tile();
    f.compute_root();
    for (int u = 0; u < f.num_update_definitions(); u++) {
      std::vector<VarOrRVar> order{xi, ii, x, i};
      for (const RVar& chunk : f.rvars(u)) order.emplace_back(chunk);
      order.insert(order.end(), {block_x, block_i});
      Stage stage = f.update(u);
      stage.split(column, column, xi, numbers.at("column_tile"), TailStrategy::RoundUp)
          .split(row, row, ii, rows_of_tile(), TailStrategy::RoundUp)
          .split(column, block_x, x, kAcross, TailStrategy::GuardWithIf)
          .split(row, block_i, i, down, TailStrategy::GuardWithIf)
          .reorder(order)
          .vectorize(xi, kVector)
          .unroll(xi)
          .unroll(ii)
          .gpu_threads(x, i)
          .gpu_blocks(block_x, block_i);
      batched(stage, f, {block_x, block_i});
    }
    tile(find(Role::outer), f, numbers.at("unroll"));
    const LoopLevel chunk(f, f.rvars(f.num_update_definitions() - 1)[0]);
    each({Role::staged}, [&](Func g) {
      const bool keys = !call_of(g, find(Role::multiplier).value()).empty();
      staged(g, chunk, keys ? rows : columns, down);
      each({Role::table}, [&](Func t) {
        if (!call_of(t, g.value()).empty()) shared_row(t.bound(t.args()[0], 0, kernel.chunk()), chunk);
      });
    });
  }
  // Of a block, as many as let it share what a chunk has for them and for so many columns.
  int rows_beside(int columns) const {
    int rows = kRows;
    while (static_cast<int>(sizeof(float)) * kernel.chunk() * (rows + columns) > kMostShared &&
           rows % (2 * rows_of_tile()) == 0)
      rows /= 2;
    return rows;
  }

  // Rows of a chunk, copied in vectors by all threads of a block, of which so many lie below each other.
  void staged(Func f, const LoopLevel& at, int width, int down) const {
    const Var column = f.args()[0], token = f.args()[1];
    Var far("far"), round("round");
    of_one_item(f);
    f.compute_at(at)
        .store_in(MemoryType::GPUShared)
        .bound_extent(column, width)
        .bound(token, 0, kernel.chunk())
        .split(column, column, xi, kVector, TailStrategy::RoundUp)
        .split(column, far, x, std::min(width / kVector, kAcross), TailStrategy::RoundUp)
        .split(token, round, i, down, TailStrategy::RoundUp)
        .reorder(xi, far, round, x, i)
        .vectorize(xi)
        .unroll(far)
        .unroll(round)
        .gpu_threads(x, i);
  }

  // A thread places an element. No two have one place, which Halide cannot see.
  void placed(Func f) const {
    f.compute_root();
    const std::vector<RVar> r = f.rvars(0);
    RVar element("element"), next("next"), block("block"), thread("thread");
    Stage stage = f.update().allow_race_conditions();
    stage.fuse(r[0], r[1], element)
        .split(element, element, next, kVector, TailStrategy::GuardWithIf)
        .split(element, block, thread, kSide * kSide / kVector, TailStrategy::GuardWithIf)
        .unroll(next)
        .gpu_threads(thread)
        .gpu_blocks(block);
    const std::vector<Var> args = f.args();
    stage.fuse(args[args.size() - 2], args.back(), batch).gpu_blocks(batch).reorder(batch, block);
  }

  // A thread owns a vector of a row. Of later stages, what is flat places every column once: a thread owns an element.
  // Else parts of a row may overlap, and the later one must win: a row is one thread's.
  void rows(Func f) const {
    Var column = f.args()[0], row = f.args()[1];
    // Halide 21 has no vectors of strict comparisons for OpenCL, and says so in an internal error
    const int vector = opencl ? 1 : kVector;
    f.compute_root()
        .split(column, column, xi, vector, TailStrategy::RoundUp)
        .split(column, block_x, x, kSide, TailStrategy::GuardWithIf)
        .split(row, block_i, i, kSide, TailStrategy::RoundUp)
        .reorder(xi, x, i, block_x, block_i)
        .vectorize(xi)
        .gpu_threads(x, i)
        .gpu_blocks(block_x, block_i);
    batched(f, f, {block_x, block_i});
    for (int u = 0; u < f.num_update_definitions(); u++) {
      const std::vector<RVar> r = f.rvars(u);
      if (r.size() != 2) {
        by_row(f, u);
        continue;
      }
      Stage stage = f.update(u).allow_race_conditions();
      stage.split(row, block_i, i, kSide, TailStrategy::GuardWithIf)
          .reorder(r[0], i, r[1], block_i)
          .gpu_threads(r[0], i)
          .gpu_blocks(r[1], block_i);
      batched(stage, f, {r[1], block_i});
    }
  }
  void by_row(Func f, int update) const {
    batched(f.update(update).gpu_tile(f.args()[1], block_x, x, kSide, TailStrategy::GuardWithIf), f, {block_x});
  }

  // Later stages by one dimension; whatever they walk besides, one thread walks in order.
  void updates(Func f, int dimension) const {
    for (int u = 0; u < f.num_update_definitions(); u++)
      batched(f.update(u).gpu_tile(f.args()[dimension], block_x, x, kSide, TailStrategy::GuardWithIf), f, {block_x});
  }

  // A number for each row, a sum along it by lanes, of which a thread takes a vector of every fourth block: what
  // follows from the rows that it reads it stores on its way.
  void sums_of_lanes(Func f) const {
    Func lane = find(Role::lanes), sum = find(Role::row_sum);
    const Var row = f.args()[0], part("part");
    f.compute_root()
        .split(row, block_i, i, kSide, TailStrategy::RoundUp)
        .split(i, i, part, 1)
        .split(part, part, x, 1)
        .reorder(x, part, i, block_i)
        .gpu_threads(x, part, i)
        .gpu_blocks(block_i);
    batched(f, f, {block_i});
    accumulate(sum, f);
    sum.update().unroll(sum.rvars(0)[0]);
    const RVar round("round"), parts("parts");
    lane.update().split(lane.rvars(0)[0], round, parts, kVector, TailStrategy::GuardWithIf);
    Func some = lane.update().rfactor(parts, part);
    Func together = some.in(lane);
    lanes(lane, f);
    lane.update().unroll(parts);
    const Var l = together.args()[0], row_here = together.args()[1];
    for (const Func& g : {some, together})  // whose last dimension is that of parts
      for (size_t d = 2; d < 2 + kBatchDimensions; d++) Func(g).bound_extent(g.args()[d], 1);
    together.compute_at(f, batch)
        .store_in(MemoryType::GPUShared)
        .bound(l, 0, kSide)
        .bound(part, 0, kVector)
        .split(l, x, xi, kVector, TailStrategy::RoundUp)
        .reorder(xi, x, part, row_here)
        .vectorize(xi)
        .gpu_threads(x, part, row_here);
    some.compute_at(together, x).store_in(MemoryType::Register);
    vectors(some);
    some.update().reorder(some.args()[0], round);
    // all before the store, as in in_parts()
    each({Role::loaded}, [&](Func g) {
      if (call_of(g, some.update_value()).empty()) return;
      Func here = g.in(some);
      accumulate(here, some, round);
      vectors(here.bound_extent(here.args()[0], kVector));
    });
    each({Role::begin}, [&](Func g) { accumulate(g, together, x); });
  }

  // Sums of the thread's own row, where the row has a thread; else a kernel of their own.
  void sums(Func f) const {
    if (Func owner = find(Role::per_token); owner.defined()) return accumulate(f, owner);
    line(f);
    updates(f, 0);
  }
};

void apply(Kernel& kernel, const Numbers& numbers, const Target& target) {
  batch(kernel);
  const Roles roles{kernel, numbers, target.has_feature(Target::OpenCL)};
  bool aligns = numbers.contains("row_tile");
  roles.each({Role::copy, Role::columns, Role::recurrence, Role::kept, Role::column_sum}, [&](Func) { aligns = true; });
  if (aligns) roles.align();
  roles.each({Role::output}, [&](Func f) { roles.output(f); });
  roles.each({Role::state, Role::projected}, [&](Func f) { roles.product(f); });
  roles.each({Role::system}, [&](Func f) {
    roles.squares(f);
    roles.accumulate(roles.find(Role::outer), f);
  });
  roles.each({Role::copy, Role::columns, Role::recurrence},
             [&](Func f) { Roles::rank(f) == 1 ? roles.line(f) : roles.quads(f); });
  roles.each({Role::carried, Role::solve}, [&](Func f) {
    roles.squares(f);
    roles.updates(f, 0);
  });
  roles.each({Role::states}, [&](Func f) { roles.find(Role::outer).defined() ? roles.walk(f) : roles.states(f); });
  roles.each({Role::pairs}, [&](Func f) { roles.pairs(f); });
  roles.each({Role::rows}, [&](Func f) { roles.rows(f); });
  roles.each({Role::scattered}, [&](Func f) {
    roles.squares(f);
    roles.updates(f, 1);
  });
  roles.each({Role::placed}, [&](Func f) { roles.placed(f); });
  roles.each({Role::serial}, [&](Func f) {
    f.compute_root();
    for (int u = 0; u < f.num_update_definitions(); u++) roles.batched(f.update(u), f, {});
  });
  roles.each({Role::vector},
             [&](Func f) { roles.find(Role::column_sum).defined() ? roles.row_of_sums(f) : roles.line(f); });
  const bool by_lanes = roles.find(Role::kept).defined() && roles.find(Role::lanes).defined();
  roles.each({Role::per_token}, [&](Func f) { by_lanes ? roles.sums_of_lanes(f) : roles.line(f); });
  if (!roles.find(Role::per_row).defined() && !by_lanes)
    roles.each({Role::row_sum, Role::lanes}, [&](Func f) { roles.sums(f); });
}

// Rows that walk a triangle together are those of a tile.
Grains grains(const Instance& instance, const Numbers& numbers, const Target&) {
  const bool in_blocks = is_causal(instance.kernel) || instance.kernel == "delta_solve_keys";
  return {kSide, kSide, in_blocks ? numbers.at("row_tile") : kSide};
}

}  // namespace

const Family gpu_family{apply, grains};

}  // namespace lathe::gen
