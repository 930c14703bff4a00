#include "spaces.h"
#include "vectors.h"

namespace lathe::gen {

// The scores of a block, 16 rows of a chunk, take 64 * chunk bytes of shared memory: at most 8 KiB.
Space gpu_space(const Instance& instance, const std::string& target) {
  // Halide itself would abort; what has float16 by its bits takes it anywhere
  const bool converts = instance.kernel == "widen" || instance.kernel == "narrow";
  if (converts && instance.axis == "f16" && has_word(target, "opencl") && !has_word(target, "cl_half"))
    throw std::invalid_argument("float16 needs a row with cl_half");
  return {{{"chunk", 64, {16, 32, 48, 64, 96, 128}, "tokens of a chunk; one value for a whole row", true}}, {}};
}

}  // namespace lathe::gen
