#include "spaces.h"
#include "vectors.h"

namespace lathe::gen {

namespace {

// All chunks of a sequence, one after the other.
bool walks(const std::string& kernel) { return kernel.starts_with("states"); }

// Those that are products of matrices.
bool multiplies(const std::string& kernel) {
  return is_causal(kernel) || kernel == "state" || kernel == "readout" || kernel.starts_with("map") || walks(kernel);
}

}  // namespace

Space gpu_space(const Instance& instance, const std::string& target) {
  // Halide itself would abort; what has float16 by its bits takes it anywhere
  const bool converts = instance.kernel == "widen" || instance.kernel == "narrow";
  if (converts && instance.axis == "f16" && has_word(target, "opencl") && !has_word(target, "cl_half"))
    throw std::invalid_argument("float16 needs a row with cl_half");
  Space s{{{"chunk", 32, {16, 32, 48, 64, 96, 128}, "tokens of a chunk; one value for a whole row", true}}, {}};
  // what it takes of earlier blocks and of a row's own is made ready in blocks as tall as those of outputs
  if (instance.kernel == "delta_solve_keys") s.knobs.push_back({"row_tile", 8, {8}, "rows of a block"});
  if (!multiplies(instance.kernel)) return s;
  // an FMA of an 8x8 tile needs a sixteenth of a load of four numbers, one of 4x4 an eighth: docs/gpu.md. A walk has
  // few blocks, and needs their threads
  const bool few = walks(instance.kernel);
  s.knobs.push_back({"row_tile", few ? 4 : 8, {1, 2, 4, 8, 16}, "rows of a thread's tile"});
  s.knobs.push_back({"column_tile", few ? 4 : 8, {4, 8, 16}, "columns of a thread's tile"});
  s.knobs.push_back({"unroll", few ? 16 : 8, {1, 2, 4, 8, 16}, "steps of the inner product per loop iteration"});
  s.constraints.push_back({"a tile leaves half of the registers to its operands",
                           [](const Numbers& n) { return n.at("row_tile") * n.at("column_tile") <= 64; },
                           {"row_tile", "column_tile"}});
  return s;
}

}  // namespace lathe::gen
