#include "sass_measurer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "device_problem.h"

namespace lathe::tune {

namespace {

int architecture_of(const std::string& cpu) {
  constexpr std::string_view prefix = "sm_";
  for (int architecture = 70; architecture < 200 && cpu.starts_with(prefix); architecture++)
    if (cpu == fmt::format("sm_{}", architecture) && find_gpu(architecture)) return architecture;
  throw std::invalid_argument(
      fmt::format("--mcpu '{}': expected a GPU whose limits the model knows, sm_80 or sm_90", cpu));
}

class SassMeasurer : public Measurer {
 public:
  SassMeasurer(CudaTools cuda, const std::string& cpu, const Tools& tools, std::string runner)
      : cuda_(std::move(cuda)), tools_(tools), runner_(std::move(runner)), architecture_(architecture_of(cpu)) {
    if (cuda_.ptxas.empty() || cuda_.nvdisasm.empty())
      throw std::invalid_argument("--measure sass needs ptxas and nvdisasm (bench/cuda/fetch.sh)");
  }
  std::string fidelity() const override { return "static-sass"; }
  bool verifies() const override { return false; }
  bool at_once() const override { return true; }

  Outcome measure(const Space& space, const Candidate& candidate, const Job& job) override {
    Outcome outcome;
    outcome.reason = Reason::ok;
    double cost = 0;
    for (const Shape& shape : job.shapes) {
      const double seconds = rate(outcome, space, candidate, shape);
      if (!outcome.usable()) return outcome;
      // of a token, in picoseconds; no shape counts for more than another
      const int chunk = candidate.built.chunk;
      cost += std::log(1e12 * seconds / (static_cast<double>(items_of(chunk)) * kHeads * chunk));
    }
    outcome.cost = std::exp(cost / static_cast<double>(job.shapes.size()));
    return outcome;
  }

 private:
  double rate(Outcome& outcome, const Space& space, const Candidate& candidate, const Shape& shape) const {
    const auto fail = [&](Reason reason, const std::string& detail) {
      outcome.reason = reason;
      outcome.detail = detail;
      return 0.0;
    };
    const std::string folder = fmt::format("{}.sass-{}", candidate.built.library, shape.D);
    try {
      const std::string problem = device_problem(runner_, tools_.limits, space, candidate.built.chunk, shape);
      const DeviceKernel kernel(cuda_, tools_.limits, generator_command(tools_, space, candidate.point, folder),
                                problem, folder);
      double seconds = 0;
      const auto figures = kernel.on(architecture_, true);
      for (size_t f = 0; f < figures.size(); f++) {
        // what cuda/ptxas refuses is no candidate
        if (figures[f].assembled.spills > 0)
          return fail(Reason::constraint, fmt::format("{} bytes of spills", figures[f].assembled.spills));
        if (const int64_t bytes = kernel.functions()[f].shared; bytes > kMostShared)
          return fail(Reason::constraint, fmt::format("{} bytes of shared memory", bytes));
        if (!figures[f].launched) continue;
        if (!figures[f].model) return fail(Reason::unrated, figures[f].unrated);
        seconds += figures[f].model->seconds;
      }
      return seconds;
    } catch (const std::exception& error) {
      return fail(Reason::unrated, error.what());
    }
  }

  CudaTools cuda_;
  const Tools& tools_;
  std::string runner_;
  int architecture_;
};

}  // namespace

std::unique_ptr<Measurer> sass_measurer(const CudaTools& cuda, const std::string& cpu, const Tools& tools,
                                        const std::string& runner) {
  return std::make_unique<SassMeasurer>(cuda, cpu, tools, runner);
}

}  // namespace lathe::tune
