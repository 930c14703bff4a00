// How machine code is followed without a GPU, and what a multiprocessor is said to take for it. Listings are made here,
// as nvdisasm prints them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "autotune/gpus.h"
#include "autotune/sass_time.h"

namespace {

using namespace lathe::tune;
using namespace lathe::tune::sass;

struct Line {
  const char* text;  // a label where it begins with a dot
  uint64_t stall = 1, sets = 7, waits = 0;
};

Code code_of(const std::vector<Line>& lines) {
  std::string listing = ".text.f:\n";
  int at = 0;
  for (const Line& l : lines) {
    if (l.text[0] == '.') {
      listing += fmt::format("{}:\n", l.text);
      continue;
    }
    const uint64_t high = l.stall << 41 | l.sets << 46 | uint64_t{7} << 49 | l.waits << 52;
    listing += fmt::format("        /*{:04x}*/   {} ;   /* 0x{:016x} */\n", at, l.text, 0);
    listing += fmt::format("                                 /* 0x{:016x} */\n", high);
    at += 16;
  }
  return read_code(listing).at("f");
}

Grid grid_of(int threads, int64_t blocks) {
  Grid grid;
  grid.threads = {threads, 1, 1};
  grid.blocks = {blocks, 1, 1};
  return grid;
}

int count(const Program& program, const Trace& trace, const char* code) {
  int all = 0;
  for (const Step& step : trace.steps) all += program.code()[static_cast<size_t>(step.at)].code == code;
  return all;
}

TEST(Sass, ReadsOperandsAndWhatTheSchedulerIsTold) {
  const Code code = code_of({{"@!P3 LDG.E.128.CONSTANT R4, desc[UR6][R2.64+UR8+-0x10]", 5, 2, 9}});
  const Instruction& i = code.at(0);
  EXPECT_EQ(i.code, "LDG");
  EXPECT_TRUE(i.has("128"));
  EXPECT_TRUE(i.guard.negated);
  EXPECT_EQ(i.guard.index, 3);
  const Operand& memory = i.operands.at(1);
  EXPECT_EQ(memory.kind, Kind::memory);
  EXPECT_EQ(memory.index, 2);
  EXPECT_TRUE(memory.wide);
  EXPECT_EQ(memory.uniform, 8);
  EXPECT_EQ(memory.number, -16);
  EXPECT_EQ(i.control.stall, 5);
  EXPECT_EQ(i.control.sets, 2);
  EXPECT_EQ(i.control.waits, 9);
}

// for (i = 0; i < argument; i += 2), of a thread whose number is odd once more.
TEST(Sass, FollowsLoopsAndBranchesOfEachThread) {
  const Program program(code_of({{"MOV R0, RZ"},
                                 {"S2R R1, SR_TID.X"},
                                 {"LOP3.LUT R1, R1, 0x1, RZ, 0xc0, !PT"},
                                 {".L_x_0"},
                                 {"FFMA R4, R4, R4, R4"},
                                 {"IADD3 R0, R0, 0x2, RZ"},
                                 {"ISETP.GE.AND P0, PT, R0, c[0x0][0x160], PT"},
                                 {"@!P0 BRA `(.L_x_0)"},
                                 {"ISETP.NE.AND P1, PT, R1, RZ, PT"},
                                 {"@!P1 BRA `(.L_x_1)"},
                                 {"FADD R4, R4, R4"},
                                 {".L_x_1"},
                                 {"EXIT"}}),
                        80);
  Grid grid = grid_of(32, 1);
  grid.arguments = {{4, 9, 0, false}};
  const Trace trace = follow(program, grid, 0, 0);
  EXPECT_EQ(count(program, trace, "FFMA"), 5);
  EXPECT_EQ(count(program, trace, "EXIT"), 1) << "threads that parted go on together";
  int added = 0;
  for (const Step& step : trace.steps)
    if (program.code()[static_cast<size_t>(step.at)].code == "FADD") added += step.threads;
  EXPECT_EQ(added, 16);
}

// Whole numbers are divided by a reciprocal and its correction: 100 / 7, as ptxas writes it.
TEST(Sass, DividesAsTheDeviceDoes) {
  const Program program(code_of({{"MOV R9, c[0x0][0x160]"},
                                 {"MOV R8, c[0x0][0x164]"},
                                 {"I2F.U32.RP R7, R8"},
                                 {"MUFU.RCP R7, R7"},
                                 {"IADD3 R4, R7, 0xffffffe, RZ"},
                                 {"F2I.FTZ.U32.TRUNC.NTZ R5, R4"},
                                 {"MOV R4, RZ"},
                                 {"IADD3 R10, RZ, -R5, RZ"},
                                 {"IMAD R13, R10, R8, RZ"},
                                 {"IMAD.HI.U32 R4, R5, R13, R4"},
                                 {"IMAD.HI.U32 R4, R4, R9, RZ"},
                                 {".L_x_0"},
                                 {"IADD3 R4, R4, -0x1, RZ"},
                                 {"FADD R6, R6, R6"},
                                 {"ISETP.NE.AND P0, PT, R4, RZ, PT"},
                                 {"@P0 BRA `(.L_x_0)"},
                                 {"EXIT"}}),
                        80);
  Grid grid = grid_of(32, 1);
  grid.arguments = {{4, 100, 0, false}, {4, 7, 0, false}};
  EXPECT_EQ(count(program, follow(program, grid, 0, 0), "FADD"), 14);
}

// Rows of four floats side by side are four lines; of threads a line apart, 32; of one place, one.
TEST(Sass, CountsWhatAnAccessTouches) {
  for (const auto& [apart, lines, passes] : {std::tuple{16, 4U, 4}, std::tuple{128, 32U, 32}, std::tuple{0, 1U, 2}}) {
    const std::string scaled = fmt::format("IMAD.WIDE R2, R0, 0x{:x}, c[0x0][0x160]", apart);
    const Program program(code_of({{"S2R R0, SR_TID.X"}, {scaled.c_str()}, {"LDG.E.128 R4, [R2.64]"}, {"EXIT"}}), 80);
    Grid grid = grid_of(32, 1);
    grid.arguments = {{8, 0, 4096, false}};
    const Trace trace = follow(program, grid, 0, 0);
    EXPECT_EQ(trace.steps[2].lines, lines) << apart;
    EXPECT_EQ(trace.steps[2].wavefronts, passes) << apart;
  }
}

// A block reads 128 bytes of a buffer that all share, and writes 128 of its own, of a buffer that has more.
TEST(Sass, CountsBytesThatMustMoveOnce) {
  const Program program(code_of({{"S2R R0, SR_TID.X"},
                                 {"S2R R1, SR_CTAID.X"},
                                 {"IMAD.WIDE R2, R0, 0x4, c[0x0][0x160]"},
                                 {"LDG.E R4, [R2.64]"},
                                 {"IMAD R0, R1, 0x20, R0"},
                                 {"IMAD.WIDE R2, R0, 0x4, c[0x0][0x168]"},
                                 {"STG.E [R2.64], R4"},
                                 {"EXIT"}}),
                        80);
  Grid grid = grid_of(32, 64);
  grid.arguments = {{8, 0, 128, false}, {8, 0, 1 << 20, false}};
  EXPECT_DOUBLE_EQ(64 * model_time(program, grid, *find_gpu(80), 8, 0).bytes, 128 + 64 * 128);
}

TEST(Sass, RefusesWhatItDoesNotKnow) {
  const Program program(code_of({{"HMMA.16816.F32 R4, R4, R4, R4"}, {"EXIT"}}), 80);
  EXPECT_THROW(follow(program, grid_of(32, 1), 0, 0), std::invalid_argument);
  const Program endless(code_of({{".L_x_0"}, {"BRA `(.L_x_0)"}}), 80);
  EXPECT_THROW(follow(endless, grid_of(32, 1), 0, 0), std::invalid_argument);
}

// FMAs that wait for none reach the limit of a multiprocessor with enough warps; a chain of them, with few, the share
// that their stalls leave.
TEST(Sass, ReachesTheLimitOnlyWhereNothingWaits) {
  const auto share = [](uint64_t stall, int architecture, int threads) {
    std::vector<Line> lines(2000, {"FFMA R4, R5, R6, R4", stall});
    lines.push_back({"EXIT"});
    const Program program(code_of(lines), architecture);
    return model_time(program, grid_of(threads, 1 << 20), *find_gpu(architecture), 2, 0).share();
  };
  for (const int architecture : {80, 90}) {
    EXPECT_GT(share(1, architecture, 256), 0.98) << architecture;
    EXPECT_GT(share(4, architecture, 512), 0.98) << architecture;
  }
  EXPECT_NEAR(share(4, 90, 128), 0.5, 0.02) << "two warps of a scheduler, each every fourth cycle";
  EXPECT_NEAR(share(4, 80, 128), 1, 0.02) << "whose pipe takes one every second cycle";
}

// A load's value takes so long as the caches say, and a warp that waits for it lets others go on.
TEST(Sass, HidesLatencyOnlyBehindOtherWarps) {
  const Program program(code_of({{"S2R R0, SR_TID.X", 2, 0},
                                 {"IMAD.WIDE R2, R0, 0x4, c[0x0][0x160]", 4, 7, 1},
                                 {"LDG.E R4, [R2.64]", 1, 1},
                                 {"FADD R4, R4, R4", 1, 7, 2},
                                 {"EXIT"}}),
                        90);
  Grid grid = grid_of(32, 4096);
  grid.arguments = {{8, 0, 4, false}};
  const Gpu& gpu = *find_gpu(90);
  const Modelled alone = model_time(program, grid, gpu, 1, 0), many = model_time(program, grid, gpu, 16, 0);
  EXPECT_GT(alone.cycles, gpu.memory);
  EXPECT_LT(many.cycles, alone.cycles / 8);
  EXPECT_STREQ(alone.parts.binds(), "latency");
}

}  // namespace
