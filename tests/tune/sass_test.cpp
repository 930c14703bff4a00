// What is read of NVIDIA's assembler: listings as its programs print them, and occupancy as its guide has it.
#include "autotune/sass.h"

#include <gtest/gtest.h>

namespace {

using namespace lathe::tune;

TEST(Ptxas, TellsRegistersAndSpillsOfEachFunction) {
  const auto all = read_ptxas(R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_kernel_o' for 'sm_90'
ptxas info    : Function properties for _kernel_o
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers
ptxas info    : Compile time = 504.466 ms
ptxas info    : Compiling entry function '_kernel_z' for 'sm_90'
ptxas info    : Function properties for _kernel_z
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 1024 bytes smem
)");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].entry, "_kernel_o");
  EXPECT_EQ(all[0].registers, 32);
  EXPECT_EQ(all[0].spills, 0);
  EXPECT_EQ(all[1].registers, 255);
  EXPECT_EQ(all[1].spills, 20);
  EXPECT_EQ(all[1].stack, 16);
  EXPECT_EQ(all[1].fixed, 1024);
}

TEST(Ptxas, KnowsArchitecturesWithoutTheirVariants) {
  EXPECT_EQ(read_architectures("'compute_100','sm_100','sm_100a','sm_100f',\n 'sm_75','sm_90','sm_90a','sm_75'"),
            (std::vector<int>{75, 90, 100}));
}

TEST(Listing, FindsTheInnermostLoopWithMostFlops) {
  const auto all = read_listing(R"(//--------------------- .text._kernel_o --------------------------
	.section	.text._kernel_o,"ax",@progbits
.text._kernel_o:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_5:
        /*0010*/                   FADD R2, R2, R3 ;
.L_x_2:
        /*0020*/                   LDG.E R4, [R6.64] ;
        /*0030*/                   LDS R5, [R7] ;
        /*0040*/              @!P0 FFMA R2, R4, R5, R2 ;
        /*0050*/               @P2 BRA `(.L_x_2) ;
.L_x_3:
        /*0060*/                   FADD R2, R2, R3 ;
        /*0070*/               @P1 BRA `(.L_x_3) ;
        /*0080*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0090*/               @P0 BRA `(.L_x_5) ;
        /*00a0*/                   EXIT ;
.L_x_9:
        /*00b0*/                   BRA `(.L_x_9) ;
)");
  ASSERT_EQ(all.size(), 1U);
  const Listed& o = all.at("_kernel_o");
  EXPECT_EQ(o.whole.all, 12);
  EXPECT_EQ(o.whole.barriers, 1);
  EXPECT_EQ(o.hot().all, 4);
  EXPECT_EQ(o.hot().fma, 1);
  EXPECT_EQ(o.hot().flops, 2);
  EXPECT_EQ(o.hot().shared, 1);
  EXPECT_EQ(o.hot().global, 1);
  EXPECT_DOUBLE_EQ(o.hot().flops_each(), 0.5);
}

TEST(Occupancy, IsBoundByWhatRunsOutFirst) {
  EXPECT_DOUBLE_EQ(occupancy(80, 32, 256, 0), 1);
  EXPECT_DOUBLE_EQ(occupancy(80, 64, 256, 0), 0.5) << "registers: 4 blocks of 8 warps";
  EXPECT_DOUBLE_EQ(occupancy(80, 32, 256, 40 * 1024), 0.5) << "shared memory: 41 KiB of 164 for each of 4 blocks";
  EXPECT_DOUBLE_EQ(occupancy(75, 32, 16, 0), 0.5) << "blocks: 16 of a warp each, of 32";
  EXPECT_LT(occupancy(1, 32, 256, 0), 0) << "nobody told of it";
}

}  // namespace
