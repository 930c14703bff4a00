#include "cubins.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "../autotune/child.h"

namespace lathe::gen {

namespace {

using namespace Halide::Internal;

void run(const std::vector<std::string>& command) {
  const tune::Ended ended = tune::run_child(command, "", {.seconds = 600, .memory = 0});
  if (!ended.well())
    throw std::runtime_error(
        fmt::format("{}: {}", fmt::join(command, " "), ended.err.empty() ? ended.text() : ended.err));
}

// Files that go when this does.
class Files {
 public:
  explicit Files(std::string stem) : stem_(std::move(stem)) {}
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    std::error_code ignored;
    for (const std::string& path : paths_) std::filesystem::remove(path, ignored);
  }
  std::string add(const std::string& ending) { return paths_.emplace_back(stem_ + "." + ending); }

 private:
  std::string stem_;
  std::vector<std::string> paths_;
};

// Of Halide's text a 0 is the last byte, which ptxas takes for an end that comes too early.
void write(const std::string& path, const Halide::Buffer<uint8_t>& text) {
  std::ofstream out(path, std::ios::binary);
  out << reinterpret_cast<const char*>(text.data());
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

Halide::Buffer<uint8_t> read(const std::string& path, const std::string& name) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.empty()) throw std::runtime_error(fmt::format("{}: expected a fatbin, got nothing", path));
  Halide::Buffer<uint8_t> code(static_cast<int>(bytes.size()), name);
  std::copy(bytes.begin(), bytes.end(), code.data());
  return code;
}

// The host code says how large the code is.
class Resized : public IRMutator {
 public:
  explicit Resized(int bytes) : bytes_(bytes) {}

 private:
  using IRMutator::visit;
  Halide::Expr visit(const Call* op) override {
    if (op->name != "halide_cuda_initialize_kernels") return IRMutator::visit(op);
    std::vector<Halide::Expr> args = op->args;
    args.back() = Halide::Expr(bytes_);
    return Call::make(op->type, op->name, args, op->call_type);
  }
  int bytes_;
};

}  // namespace

Halide::Module with_cubins(const Halide::Module& module, const std::vector<std::string>& architectures,
                           const CudaTools& tools, const std::string& stem) {
  if (!module.target().has_feature(Halide::Target::CUDA))
    throw std::invalid_argument(fmt::format("--cubins: expected a row of CUDA, got {}", module.target().to_string()));
  const Halide::Buffer<uint8_t> code(module.get_device_code_buffer());
  const auto number = [](const std::string& architecture) { return architecture.substr(architecture.find('_') + 1); };
  Files files(stem);
  const std::string ptx = files.add("ptx"), fatbin = files.add("fatbin");
  write(ptx, code);
  std::vector<std::string> joined{
      tools.fatbinary,
      "--64",
      "--compress-all",
      "--ident=" + module.name(),
      "--create=" + fatbin,
      fmt::format("--image3=kind=ptx,sm={},file={}", module.target().get_cuda_capability_lower_bound(), ptx)};
  for (const std::string& architecture : architectures) {
    const std::string cubin = files.add(architecture + ".cubin");
    run({tools.ptxas, "-arch=" + architecture, ptx, "-o", cubin});
    joined.push_back(fmt::format("--image3=kind=elf,sm={},file={}", number(architecture), cubin));
  }
  run(joined);
  const Halide::Buffer<uint8_t> all = read(fatbin, code.name());

  Halide::Module made(module.name(), module.target(), module.get_metadata_name_map());
  made.set_any_strict_float(module.any_strict_float());
  for (const auto& buffer : module.buffers())
    made.append(buffer.name() == code.name() ? Halide::Buffer<void>(all) : buffer);
  for (LoweredFunc function : module.functions()) {
    function.body = Resized(all.width()).mutate(function.body);
    made.append(function);
  }
  return made;
}

}  // namespace lathe::gen
