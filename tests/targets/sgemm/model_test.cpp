// What the static model of docs/gpu.md says of two products of matrices whose speed is known: it is quoted only while
// it tells them apart. Skipped where there is no nvcc.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "autotune/device_kernel.h"
#include "autotune/files.h"

namespace {

using namespace lathe::tune;

constexpr int64_t kSide = 4096;  // of the matrices: blocks for many rounds of all multiprocessors
constexpr double kTiledAtLeast = 0.75, kNaiveAtMost = 0.2;

std::string nvcc() { return find_program({"nvcc"}, {"/usr/local/cuda/bin"}); }

class Compiler : public testing::Environment {
  void SetUp() override {
    if (nvcc().empty()) GTEST_SKIP() << "cuda/model needs nvcc, which compiles what the model is held against";
  }
};
const auto* const compiler = testing::AddGlobalTestEnvironment(new Compiler);

class Sgemm : public testing::TestWithParam<int> {
 protected:
  // As nvcc compiles the kernel, in blocks of so many threads that each own a square of the result.
  static sass::Modelled model(const std::string& name, const std::array<int, 3>& threads, int64_t square) {
    const CudaTools tools = find_cuda_tools(LATHE_BUILD_FOLDER);
    const std::string cubin = fmt::format("{}/{}-{}.cubin", testing::TempDir(), name, GetParam());
    const Ended compiled = run_child({nvcc(), fmt::format("-arch=sm_{}", GetParam()), "-cubin", "-Xptxas", "-v", "-o",
                                      cubin, fmt::format(LATHE_SGEMM_FOLDER "/{}.cu", name)},
                                     "", {});
    if (!compiled.well()) throw std::runtime_error("nvcc " + compiled.text() + "\n" + compiled.err);
    const Assembled made = read_ptxas(compiled.err).at(0);
    const auto code = sass::read_code(run_child({tools.nvdisasm, "-c", "-hex", cubin}, "", {}).out);
    std::filesystem::remove(cubin);
    sass::Grid grid;
    grid.blocks = {kSide / square, kSide / square, 1};
    grid.threads = threads;
    const sass::Argument matrix{8, 0, kSide * kSide * 4, false};
    grid.arguments = {matrix, matrix, matrix, {4, kSide, 0, false}};
    const int block = threads[0] * threads[1];
    return sass::model_time(sass::Program(code.at(made.entry), GetParam()), grid, *find_gpu(GetParam()),
                            resident_blocks(GetParam(), made.registers, block, made.fixed),
                            made.fixed + reserved_shared(GetParam()));
  }
};

TEST_P(Sgemm, OfTilesInRegistersIsFast) {
  const sass::Modelled tiled = model("tiled", {256, 1, 1}, 128);
  EXPECT_GE(tiled.share(), kTiledAtLeast) << "bound by " << tiled.parts.binds();
  EXPECT_DOUBLE_EQ(tiled.flops, 2.0 * 128 * 128 * kSide) << "of a block: the code was followed to its end";
}

TEST_P(Sgemm, OfSingleElementsIsSlow) {
  const sass::Modelled naive = model("naive", {16, 16, 1}, 16);
  EXPECT_LE(naive.share(), kNaiveAtMost) << "bound by " << naive.parts.binds();
  EXPECT_DOUBLE_EQ(naive.flops, 2.0 * 16 * 16 * kSide) << "of a block: the code was followed to its end";
}

INSTANTIATE_TEST_SUITE_P(Architectures, Sgemm, testing::Values(80, 90));

}  // namespace
