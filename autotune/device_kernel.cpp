#include "device_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

#include "files.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

// "8=64", "q:4096" or "rows:4:64": lathe-gen's words for an argument.
sass::Argument argument_of(const std::string& word) {
  const auto number = [](const std::string& text) { return text == "?" ? 0 : std::stoll(text); };
  if (const size_t equals = word.find('='); equals != word.npos)
    return {std::stoi(word.substr(0, equals)), number(word.substr(equals + 1)), 0, false};
  const size_t first = word.find(':'), second = word.find(':', first + 1);
  sass::Argument buffer{8, 0, number(word.substr(first + 1, second - first - 1)), second != word.npos};
  if (buffer.whole) buffer.value = number(word.substr(second + 1));
  return buffer;
}

}  // namespace

CudaTools find_cuda_tools(const std::string& build) {
  const std::vector<std::string> folders{build + "/cuda/nvidia/cu13/bin"};
  return {find_program({"ptxas"}, folders), find_program({"nvdisasm"}, folders)};
}

DeviceKernel::DeviceKernel(CudaTools tools, const Limits& limits, std::vector<std::string> generator,
                           const std::string& problem, const fs::path& folder)
    : tools_(std::move(tools)), limits_(limits), folder_(folder) {
  const bool sized = !problem.empty();
  generator.insert(generator.end(), {"--emit", sized ? "device_code,launches,grids" : "device_code,launches"});
  if (sized) generator.insert(generator.end(), {"--problem", problem});
  run(generator);
  fs::path launches, grids;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".device") code_ = file.path();
    if (file.path().extension() == ".launches") launches = file.path();
    if (file.path().extension() == ".grids") grids = file.path();
  }
  std::istringstream lines(content_of(launches));
  for (Function f; lines >> f.entry >> f.threads[0] >> f.threads[1] >> f.threads[2] >> f.shared;)
    functions_.push_back(f);
  std::istringstream told(sized ? content_of(grids) : "");
  for (std::string line; std::getline(told, line);) {
    std::istringstream words(line);
    std::string entry;
    sass::Grid grid;
    if (!(words >> entry >> grid.blocks[0] >> grid.blocks[1] >> grid.blocks[2])) continue;
    for (std::string word; words >> word;) grid.arguments.push_back(argument_of(word));
    for (Function& f : functions_) {
      if (f.entry != entry) continue;
      grid.threads = f.threads;
      f.grid = grid;
    }
  }
}

DeviceKernel::~DeviceKernel() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Ended DeviceKernel::run(const std::vector<std::string>& command) const {
  Ended ended = run_child(command, "", limits_);
  if (!ended.well()) throw std::runtime_error(fmt::format("{}: {}", fmt::join(command, " "), ended.text()));
  return ended;
}

std::vector<Figures> DeviceKernel::on(int architecture, bool listing) const {
  const std::string cubin = fmt::format("{}.{}", code_.string(), architecture);
  const auto assembled =
      read_ptxas(run({tools_.ptxas, "-v", fmt::format("-arch=sm_{}", architecture), code_.string(), "-o", cubin}).err);
  std::map<std::string, Listed> listed;
  std::map<std::string, sass::Code> code;
  const Gpu* gpu = find_gpu(architecture);
  if (listing && !tools_.nvdisasm.empty()) {
    const std::string text = run({tools_.nvdisasm, "-c", "-hex", cubin}).out;
    listed = read_listing(text);
    if (gpu) code = sass::read_code(text);
  }
  const bool told = std::any_of(functions_.begin(), functions_.end(), [](const Function& f) { return f.grid; });
  std::vector<Figures> all;
  for (const Function& f : functions_) {
    const auto at =
        std::find_if(assembled.begin(), assembled.end(), [&](const Assembled& one) { return one.entry == f.entry; });
    if (at == assembled.end()) throw std::runtime_error(fmt::format("ptxas says nothing of {}", f.entry));
    const int64_t shared = f.shared + at->fixed;
    Figures figures{*at, listed[f.entry], occupancy(architecture, at->registers, f.block(), shared), {}, ""};
    figures.launched = f.grid || !told;
    if (const auto found = code.find(f.entry); found != code.end() && f.grid) {
      const int resident = resident_blocks(architecture, at->registers, f.block(), shared);
      try {
        figures.model = sass::model_time(sass::Program(found->second, architecture), *f.grid, *gpu, resident,
                                         shared + reserved_shared(architecture));
      } catch (const std::exception& error) {
        figures.unrated = error.what();
      }
    }
    all.push_back(std::move(figures));
  }
  return all;
}

}  // namespace lathe::tune
