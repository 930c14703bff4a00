// The sums of a register tile, whoever owns the registers.
#pragma once

#include <Halide.h>

#include <vector>

namespace lathe::gen {

// Vectors along the first dimension, everything unrolled, and so many steps of each sum in a round of its loop.
// multipliers(update, loop) schedules what a sum multiplies by.
template <typename Multipliers>
void sum_tile(Halide::Func f, int lanes, int steps, int grain, Multipliers multipliers) {
  const Halide::Var x = f.args()[0], i = f.args()[1];
  f.vectorize(x, lanes).unroll(x).unroll(i);
  for (int u = 0; u < f.num_update_definitions(); u++) {
    Halide::Stage stage = f.update(u);
    const std::vector<Halide::RVar> sums = f.rvars(u);
    std::vector<Halide::VarOrRVar> order{x, i};
    order.insert(order.end(), sums.begin(), sums.end());
    stage.reorder(order).vectorize(x, lanes).unroll(x).unroll(i);
    for (const Halide::RVar& r : sums) {
      Halide::RVar step("step");
      // inside a diagonal block every index is known, and the upper triangle vanishes at compile time
      const bool diagonal = r.name().starts_with("inside");
      stage.split(r, r, step, diagonal ? grain : steps).unroll(step);
      if (!diagonal) multipliers(u, r);
    }
  }
}

}  // namespace lathe::gen
