#include "autoschedulers.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <stdexcept>

namespace lathe::gen {

using namespace Halide;

namespace {

const std::vector<double>& of(const Estimates& estimates, const std::string& name, size_t count) {
  const auto found = estimates.find(name);
  if (found == estimates.end() || found->second.size() != count)
    throw std::invalid_argument(fmt::format("--problem: expected {} numbers for {}", count, name));
  return found->second;
}

template <typename Buffer>
void estimate(Buffer& buffer, const Estimates& estimates, const std::string& name, int dimensions) {
  const auto& extents = of(estimates, name, static_cast<size_t>(dimensions));
  for (int d = 0; d < dimensions; d++) buffer.dim(d).set_estimate(0, static_cast<int>(extents[static_cast<size_t>(d)]));
}

// Plugins lie beside Halide itself.
std::string plugin(const std::string& scheduler) {
  std::string name = scheduler;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  Dl_info halide{};
  const bool found = dladdr(reinterpret_cast<const void*>(&load_plugin), &halide) != 0;
  const auto folder = std::filesystem::path(found ? halide.dli_fname : "").parent_path();
  return (folder / fmt::format("libautoschedule_{}.so", name)).string();
}

}  // namespace

void autoschedule(Kernel& kernel, const std::string& scheduler, const Estimates& estimates, const Target& target) {
  for (ImageParam& input : kernel.inputs()) estimate(input, estimates, input.name(), input.dimensions());
  for (Parameter& number : kernel.numbers()) {
    const double value = of(estimates, number.name(), 1)[0];
    number.set_estimate(number.type().is_float() ? Expr(static_cast<float>(value)) : Expr(static_cast<int>(value)));
  }
  for (const Func& output : kernel.outputs()) {
    auto buffer = output.output_buffer();
    estimate(buffer, estimates, output.name(), output.dimensions());
  }
  load_plugin(plugin(scheduler));
  // what is compared is one thread's work; Li2018 divides by no such number
  AutoschedulerParams params(scheduler);
  if (scheduler != "Li2018") params.extra.emplace("parallelism", "1");
  Pipeline(kernel.outputs()).apply_autoscheduler(target, params);
}

}  // namespace lathe::gen
