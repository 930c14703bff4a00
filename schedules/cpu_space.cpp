// What a CPU's kernels leave to choose. cpu.cpp says what becomes of it.
#include "spaces.h"
#include "vectors.h"

namespace lathe::gen {

bool is_causal(const std::string& kernel) { return kernel.starts_with("causal") || kernel == "delta_values"; }
// Those that walk rows, a vector at a time, have none.
bool has_tiles(const std::string& kernel) {
  for (const char* walks : {"decode",
                            "decode_delta",
                            "decode_delta_keys",
                            "decode_rank_one",
                            "decode_keys",
                            "decode_momentum",
                            "recall",
                            "recall_more",
                            "update_keys",
                            "key_step",
                            "key_sum",
                            "fixed_denominator",
                            "transpose",
                            "widen",
                            "narrow",
                            "exponentials",
                            "softplus",
                            "skip_rows",
                            "gate_rows",
                            "running_sums",
                            "running_key_sums",
                            "row_dots",
                            "weighed_dots",
                            "peaks",
                            "recurrence_sums",
                            "denominator_slopes",
                            "weigh_rows",
                            "add_rows",
                            "add_products"})
    if (kernel == walks) return false;
  return !kernel.starts_with("gate_");
}

namespace {

bool is_recurrence(const std::string& kernel) { return kernel.starts_with("recurrence") && has_tiles(kernel); }

Constraint fits(const std::string& text, const std::string& columns, int registers) {
  return {
      text,
      [columns, registers](const Numbers& n) { return n.at("row_tile") * n.at(columns) + n.at(columns) < registers; },
      {"row_tile", columns}};
}

}  // namespace

Space cpu_space(const Instance& instance, const std::string& target) {
  const Vectors vectors = vectors_of(target);
  const bool wide = vectors.registers == 32;
  // written in place, or read in blocks of 16: a tile must not reach past the padded width
  const bool solves = instance.kernel.starts_with("delta_solve");
  const bool exact = !is_causal(instance.kernel) && instance.kernel != "readout" && !solves;
  Space s;
  const bool by_lane = vectors.by_lane;
  s.knobs.push_back(
      {"chunk", wide ? 32 : 48, {16, 24, 32, 48, 64, 96, 128}, "tokens of a chunk; one value for a whole row", true});
  if (!has_tiles(instance.kernel)) return s;
  if (is_recurrence(instance.kernel)) {
    const std::string tokens = "tokens of a register tile", vectors_across = "vectors across it";
    const int few = wide ? 4 : 2;
    // where a row is over in four cycles a jump in it takes a part of them, and it hung on which 16 bytes the loop
    // began at whether that was 10 %; two rows of what reads A and adds B are too many for 16 registers
    const std::string rows = "rows of the state in a step, between which memory is asked for";
    const bool rank_one = instance.kernel.starts_with("recurrence_rank_one");
    const bool reads_first = rank_one || instance.kernel.starts_with("recurrence_delta");
    const int together = wide || rank_one ? 1 : 2;
    // those that no sweep has an oracle for
    for (const char* name : {"_delta", "_delta_keys", "_momentum", "_momentum_one", "_pairs", "_pairs_keys",
                             "_rank_one", "_rank_one_keys", "_state"})
      if (instance.kernel == std::string("recurrence") + name) {
        const int taken = name == std::string("_momentum_one") ? 1 : few;
        s.knobs.push_back({"row_tile", taken, {taken}, tokens});
        s.knobs.push_back({"column_vectors", 2, {2}, vectors_across});
        s.knobs.push_back({"rows", together, {together}, rows});
        // those of a tile of two by two wait for themselves: with one for each the delta rule takes a fifth longer.
        // With two for each of four by two it takes 1 % less where a state is in the first-level cache, and 3 % more
        // where it is not
        const int sums = wide ? 1 : 2;
        if (reads_first)
          s.knobs.push_back({"sums", sums, {sums}, "sums for each token of what it reads of the state that enters"});
        return s;
      }
    s.knobs.push_back({"row_tile", few, {1, 2, 4, 8}, tokens});
    s.knobs.push_back({"column_vectors", 2, {1, 2, 3, 4, 6}, vectors_across});
    s.knobs.push_back({"rows", together, {1, 2}, rows});
    s.constraints.push_back({"a row of the state, values and outputs of a tile fit the registers",
                             [registers = vectors.registers](const Numbers& n) {
                               return (2 * n.at("row_tile") + 1) * n.at("column_vectors") + 2 <= registers;
                             },
                             {"row_tile", "column_vectors"}});
    s.constraints.push_back({"row_tile divides the chunk",
                             [](const Numbers& n) { return n.at("chunk") % n.at("row_tile") == 0; },
                             {"chunk", "row_tile"}});
    return s;
  }
  // with 32 registers 8x2 won in causal, whose scores are tiles too, and 4x4 elsewhere. Where multipliers come from
  // lanes, 4x4 leaves registers for those of eight steps: docs/arm.md
  const bool tall = wide && !by_lane && (is_causal(instance.kernel) || solves);
  const int steps = tall ? 1 : by_lane ? 8 : 4;
  s.knobs.push_back({"row_tile", tall ? 8 : 4, {1, 2, 3, 4, 6, 8, 12, 16}, "rows of a register tile"});
  if (!solves) {
    s.knobs.push_back({"column_vectors", wide && !tall ? 4 : 2, {1, 2, 3, 4, 6}, "vectors across a register tile"});
    s.knobs.push_back({"unroll", steps, {1, 2, 4, 8}, "steps of the inner product per loop iteration"});
    s.constraints.push_back(
        fits("accumulators and a row of operands fit the registers", "column_vectors", vectors.registers));
  }
  if (exact)
    s.constraints.push_back({"row_tile divides the padded key width",
                             [](const Numbers& n) { return 16 % n.at("row_tile") == 0; },
                             {"row_tile"}});
  // rows of all kernels but these are a chunk's tokens; theirs are keys
  if (instance.kernel != "state")
    s.constraints.push_back({"row_tile divides the chunk",
                             [](const Numbers& n) { return n.at("chunk") % n.at("row_tile") == 0; },
                             {"chunk", "row_tile"}});
  if (!instance.kernel.starts_with("causal") && !solves) return s;
  s.knobs.push_back({"score_vectors", by_lane ? 4 : wide ? 1 : 2, {1, 2, 3, 4, 6}, "vectors across a tile of scores"});
  s.knobs.push_back({"score_unroll", steps, {1, 2, 4, 8}, "steps of a score's inner product per loop iteration"});
  s.constraints.push_back(fits("accumulators of the scores fit the registers", "score_vectors", vectors.registers));
  s.constraints.push_back(
      {"a tile of scores divides the chunk",
       [lanes = vectors.lanes](const Numbers& n) { return n.at("chunk") % (n.at("score_vectors") * lanes) == 0; },
       {"chunk", "score_vectors"}});
  return s;
}

}  // namespace lathe::gen
