#include "gpus.h"

#include <algorithm>

namespace lathe::tune {

namespace {

// Sources: docs/gpu.md.
constexpr Gpu kGpus[] = {{80, "A100-80", 108, 1.41, 2039, 64, 192, 29, 38, 466},
                         {90, "H100 SXM", 132, 1.98, 3352, 128, 256, 29, 41, 479}};

}  // namespace

const Gpu* find_gpu(int architecture) {
  const auto* const found = std::find_if(std::begin(kGpus), std::end(kGpus),
                                         [&](const Gpu& gpu) { return gpu.architecture == architecture; });
  return found == std::end(kGpus) ? nullptr : found;
}

}  // namespace lathe::tune
