#include "device_operator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "../../cli/table.h"
#include "../../cli/verbs.h"
#include "../device_problem.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

constexpr int kHotLoop = 64;  // FMAs from which on a loop is one of tiles
// Useful flops hang on the chunk, which is the schedule's to choose: shorter ones have less to do, and would lower the
// limit that they are held against.
constexpr int kUsualChunk = 64;
// What runtime/device/walk.cpp launches for it, where rows of q, k, v and o stay in place.
constexpr const char* kLaunches[] = {"states", "causal:plain"};

std::vector<Mix> hot_loops(const OperatorLaunch& launch) {
  std::vector<Mix> hot;
  for (const Mix& loop : launch.figures.listed.loops)
    if (loop.fma >= kHotLoop) hot.push_back(loop);
  return hot;
}

double limit_of(const Gpu& gpu, const Shape& shape, int chunk) {
  const auto K = static_cast<double>(shape.D), V = static_cast<double>(shape.V), C = static_cast<double>(chunk);
  const double tokens = static_cast<double>(kSequences) * kTokens * kHeads;
  const double flops = (C + 1) * (K + V) + 4 * K * V, bytes = 4 * (2 * K + 2 * V);
  return tokens * std::max(flops / gpu.flops(), bytes / (gpu.gigabytes * 1e9));
}

}  // namespace

std::unique_ptr<DeviceKernel> open_kernel(const Tools& tools, const CudaTools& cuda, const std::string& row,
                                          const std::string& name, const Shape& shape, std::string& unrated) {
  const size_t colon = name.find(':');
  const Space space = list_space(tools, name.substr(0, colon), colon == name.npos ? "" : name.substr(colon + 1), row);
  std::string problem;
  try {
    problem = device_problem(cli::program_folder() + "/lathe-runner", tools.limits, space,
                             space.numbers(space.record).at("chunk"), shape);
  } catch (const std::invalid_argument& error) {
    unrated = error.what();
  }
  const fs::path folder = fs::temp_directory_path() / fmt::format("lathe-device-{}-{}-{}", getpid(), name, shape.D);
  return std::make_unique<DeviceKernel>(
      cuda, tools.limits, generator_command(tools, space, space.record, folder.string()), problem, folder);
}

bool made_of(const std::vector<std::string>& kernels) {
  return std::all_of(std::begin(kLaunches), std::end(kLaunches), [&](const char* launch) {
    return std::find(kernels.begin(), kernels.end(), launch) != kernels.end();
  });
}

OperatorRating rate_operator(const Tools& tools, const CudaTools& cuda, const std::string& row, const Shape& shape,
                             int architecture) {
  OperatorRating rating;
  rating.architecture = architecture;
  rating.shape = shape;
  for (const char* name : kLaunches) {
    std::string unrated;
    const auto kernel = open_kernel(tools, cuda, row, name, shape, unrated);
    for (Figures& figures : kernel->on(architecture, true)) {
      if (!figures.launched) continue;
      if (!figures.model)
        throw std::runtime_error(fmt::format("{}: {}", name, unrated.empty() ? figures.unrated : unrated));
      rating.seconds += figures.model->seconds;
      rating.limits += figures.model->limit_seconds;
      rating.launches.push_back({name, std::move(figures)});
    }
  }
  const Space space = list_space(tools, "causal", "plain", row);
  rating.chunk = space.numbers(space.record).at("chunk");
  rating.own_limit = limit_of(*find_gpu(architecture), shape, kUsualChunk);
  rating.limit_of_chunk = limit_of(*find_gpu(architecture), shape, rating.chunk);
  return rating;
}

std::string text_of(const std::vector<OperatorRating>& ratings) {
  cli::Table table(
      {"GPU", "K = V", "launch", "us", "of its limit", "binds", "warps", "FFMA of issue", "loads per FFMA"});
  for (const OperatorRating& r : ratings) {
    const std::string gpu = find_gpu(r.architecture)->name, width = std::to_string(r.shape.D);
    for (const OperatorLaunch& l : r.launches) {
      const sass::Modelled& m = *l.figures.model;
      std::string fmas, loads;
      for (const Mix& loop : hot_loops(l)) {
        fmas += fmt::format("{}{:.0f} %", fmas.empty() ? "" : ", ", 100.0 * loop.fma / loop.all);
        loads += fmt::format("{}{:.3f}", loads.empty() ? "" : ", ",
                             static_cast<double>(loop.shared + loop.global) / loop.fma);
      }
      table.add({gpu, width, l.kernel, fmt::format("{:.0f}", 1e6 * m.seconds), fmt::format("{:.0f} %", 100 * m.share()),
                 m.parts.binds(), std::to_string(m.warps), fmas, loads});
    }
    table.add({gpu, width, "all of them", fmt::format("{:.0f}", 1e6 * r.seconds),
               fmt::format("{:.0f} %", 100 * r.limits / r.seconds), "", "", "", ""});
    for (const auto& [chunk, limit] : {std::pair{kUsualChunk, r.own_limit}, {r.chunk, r.limit_of_chunk}})
      table.add({gpu, width, fmt::format("the operator, chunks of {}", chunk), fmt::format("{:.0f}", 1e6 * r.seconds),
                 fmt::format("{:.0f} %", 100 * limit / r.seconds), "", "", "", ""});
  }
  return table.text();
}

nlohmann::ordered_json json_of(const OperatorRating& rating) {
  nlohmann::ordered_json launches = nlohmann::ordered_json::array();
  for (const OperatorLaunch& l : rating.launches) {
    nlohmann::ordered_json loops = nlohmann::ordered_json::array();
    for (const Mix& loop : hot_loops(l))
      loops.push_back({{"fma", loop.fma}, {"instructions", loop.all}, {"loads", loop.shared + loop.global}});
    launches.push_back({{"kernel", l.kernel},
                        {"seconds", l.figures.model->seconds},
                        {"share", l.figures.model->share()},
                        {"binds", l.figures.model->parts.binds()},
                        {"warps", l.figures.model->warps},
                        {"loops", loops}});
  }
  return {{"gpu", find_gpu(rating.architecture)->name},
          {"K", rating.shape.D},
          {"V", rating.shape.V},
          {"seconds", rating.seconds},
          {"sum_of_limits", rating.limits},
          {"own_limit", rating.own_limit},
          {"chunk", rating.chunk},
          {"limit_of_chunk", rating.limit_of_chunk},
          {"launches", launches}};
}

}  // namespace lathe::tune
