// The causal forward as one operator on a GPU, by the model of docs/gpu.md: all its launches, against their own limits
// and against its own.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../builder.h"
#include "../device_kernel.h"

namespace lathe::tune {

// A kernel of a row ("state", "state:decay") as its record has it, called with rows of these widths; where nobody knows
// its arguments, without them, and the reason is left.
std::unique_ptr<DeviceKernel> open_kernel(const Tools& tools, const CudaTools& cuda, const std::string& row,
                                          const std::string& name, const Shape& shape, std::string& unrated);

struct OperatorLaunch {
  std::string kernel;
  Figures figures;
};
struct OperatorRating {
  int architecture = 0;
  Shape shape;
  std::vector<OperatorLaunch> launches;
  double seconds = 0;  // of all launches
  double limits = 0;   // of each by itself, together
  // useful flops with the causal triangle of a chunk of 64, or q, k, v and o once, whichever take longer; and the same
  // of the row's own chunk
  double own_limit = 0, limit_of_chunk = 0;
  int chunk = 0;
};

// Whether these are all that it launches.
bool made_of(const std::vector<std::string>& kernels);
// Of plain float32 tensors, an identity map, chunks as the row has them. Throws std::runtime_error where a launch
// cannot be modelled.
OperatorRating rate_operator(const Tools& tools, const CudaTools& cuda, const std::string& row, const Shape& shape,
                             int architecture);
std::string text_of(const std::vector<OperatorRating>& ratings);
nlohmann::ordered_json json_of(const OperatorRating& rating);

}  // namespace lathe::tune
