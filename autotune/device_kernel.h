// A kernel of a CUDA row as the generator and NVIDIA's assembler make it, and how long a GPU would take by the model of
// docs/gpu.md. No GPU is needed.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "child.h"
#include "sass.h"
#include "sass_time.h"

namespace lathe::tune {

constexpr int64_t kMostShared = 48 * 1024;  // bytes of a block, without asking the driver for more

// NVIDIA's programs; empty where there is none.
struct CudaTools {
  std::string ptxas, nvdisasm;
};
// Where bench/cuda/fetch.sh puts them in a build's folder, else on the path.
CudaTools find_cuda_tools(const std::string& build);

// What one function of a kernel became on an architecture.
struct Figures {
  Assembled assembled;
  Listed listed;
  double occupancy = -1;
  std::optional<sass::Modelled> model;
  std::string unrated;   // why there is no model
  bool launched = true;  // by the problem: a kernel may have functions for sizes of their own
};

class DeviceKernel {
 public:
  struct Function {
    std::string entry;
    std::array<int, 3> threads{};
    int64_t shared = 0;              // bytes that a block's threads share
    std::optional<sass::Grid> grid;  // where the problem tells it
    int block() const { return threads[0] * threads[1] * threads[2]; }
  };

  // By a command of the generator that writes to the folder, and gets its outputs and the problem, if there is one, as
  // further words. Throws std::runtime_error with what a program said.
  DeviceKernel(CudaTools tools, const Limits& limits, std::vector<std::string> generator, const std::string& problem,
               const std::filesystem::path& folder);
  ~DeviceKernel();
  DeviceKernel(const DeviceKernel&) = delete;
  DeviceKernel& operator=(const DeviceKernel&) = delete;

  const std::vector<Function>& functions() const { return functions_; }
  // Of each function. A listing takes far longer than assembling.
  std::vector<Figures> on(int architecture, bool listing) const;

 private:
  Ended run(const std::vector<std::string>& command) const;

  CudaTools tools_;
  Limits limits_;
  std::filesystem::path folder_, code_;
  std::vector<Function> functions_;
};

}  // namespace lathe::tune
