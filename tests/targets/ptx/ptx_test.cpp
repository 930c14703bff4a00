// The interpreter beneath the C functions that it stands behind: small kernels by hand, whose answers PTX's document
// gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "driver.h"
#include "number.h"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kNan = 0x7FFFFFFF, kUnwritten = 0xFFFFFFFF;

// A kernel "k" of a buffer "out" and an offset "at".
std::string kernel(const std::string& body) {
  return fmt::format(R"(.version 6.0
.target sm_70
.address_size 64
.visible .entry k(
  .param .u64 .ptr .align 1 out,
  .param .s32 at
)
{{
  .reg .pred %p<4>;
  .reg .b16 %h<4>;
  .reg .b32 %x<8>;
  .reg .b64 %w<8>;
  .shared .align 16 .b8 mine[256];
  .local .align 16 .b8 own[16];
  ld.param.u64 %w0, [out];
  ld.param.s32 %x0, [at];
{}
  ret;
}}
)",
                     body);
}

// A fatbin of such entries: what they are (1: PTX, 2: machine code), how they are packed, and what they hold.
struct Entry {
  uint64_t kind, flags;
  std::string bytes;
};
constexpr uint64_t kUnpacked = 33;  // bytes of an entry that is packed
std::string fatbin(const std::vector<Entry>& entries) {
  std::string all;
  const auto add = [](std::string& to, uint64_t number, size_t bytes) {
    to.append(reinterpret_cast<const char*>(&number), bytes);
  };
  for (const Entry& entry : entries) {
    add(all, entry.kind, 2), add(all, 0x0101, 2), add(all, 64, 4);
    add(all, (entry.bytes.size() + 7) / 8 * 8, 8), add(all, entry.bytes.size(), 4);
    all.append(20, '\0');
    add(all, entry.flags, 8), add(all, 0, 8), add(all, kUnpacked, 8);
    all += entry.bytes;
    all.append((8 - entry.bytes.size() % 8) % 8, '\0');
  }
  std::string whole;
  add(whole, 0xBA55ED50, 4), add(whole, 1, 2), add(whole, 16, 2), add(whole, all.size(), 8);
  return whole + all;
}
// One frame of one block that is as it was.
std::string zstd(const std::string& text) {
  const auto size = static_cast<char>(text.size());
  return std::string("\x28\xB5\x2F\xFD\x20") + size + static_cast<char>(8 * size + 1) + static_cast<char>(size >> 5) +
         '\0' + text;
}

std::string literal(float value) { return fmt::format("0f{:08X}", std::bit_cast<uint32_t>(value)); }

class Ptx : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxCreate_v2(&context_, 0, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, 1), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc_v2(&out_, sizeof(uint32_t) * kWords), CUDA_SUCCESS);
  }
  void TearDown() override { EXPECT_EQ(cuCtxDestroy_v2(context_), CUDA_SUCCESS); }

  CUfunction load(const std::string& body) {
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    EXPECT_EQ(cuModuleLoadData(&module, kernel(body).c_str()), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&function, module, "k"), CUDA_SUCCESS);
    return function;
  }

  CUresult run(const std::string& body, unsigned threads = 1, int at = 0, unsigned blocks = 1) {
    void* parameters[] = {&out_, &at};
    return cuLaunchKernel(load(body), blocks, 1, 1, threads, 1, 1, 0, stream_, parameters, nullptr);
  }

  std::vector<uint32_t> out(size_t count) {
    std::vector<uint32_t> words(count);
    EXPECT_EQ(cuMemcpyDtoH_v2(words.data(), out_, count * sizeof(uint32_t)), CUDA_SUCCESS);
    return words;
  }

  // What the instructions leave in %x1.
  uint32_t evaluate(const std::string& body) {
    EXPECT_EQ(run(body + "st.global.b32 [%w0], %x1;"), CUDA_SUCCESS) << body;
    return out(1)[0];
  }
  uint32_t evaluate(const std::string& opcode, const std::vector<float>& operands) {
    std::string body = opcode + " %x1";
    for (const float operand : operands) body += ", " + literal(operand);
    return evaluate(body + ";");
  }
  bool holds(const std::string& comparison, const std::string& a, const std::string& b) {
    return evaluate(fmt::format("setp.{} %p1, {}, {}; selp.b32 %x1, 1, 0, %p1;", comparison, a, b)) == 1;
  }

  // Why a module is refused.
  std::string refusal(const std::string& text) {
    char log[256] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule module = nullptr;
    EXPECT_EQ(cuModuleLoadDataEx(&module, text.c_str(), 2, options, values), CUDA_ERROR_INVALID_PTX) << text;
    return log;
  }

  static constexpr size_t kWords = 64;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr out_ = 0;
};

uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }

TEST_F(Ptx, RoundsOnce) {
  const float a = 1 + 0x1p-12F;
  EXPECT_EQ(evaluate("fma.rn.f32", {a, a, -(1 + 0x1p-11F)}), bits(0x1p-24F));
  EXPECT_EQ(evaluate("mul.f32", {a, a}), bits(1 + 0x1p-11F));
  EXPECT_EQ(evaluate("add.rn.f32", {1, 0x1p-24F}), bits(1));
  EXPECT_EQ(evaluate("add.f32", {1 + 0x1p-23F, 0x1p-24F}), bits(1 + 0x1p-22F));
  EXPECT_EQ(evaluate("div.rn.f32", {1, 3}), 0x3EAAAAABu);
  EXPECT_EQ(evaluate("rcp.rn.f32", {3}), 0x3EAAAAABu);
  EXPECT_EQ(evaluate("div.rn.f32", {1, 0}), bits(kInfinity));
  EXPECT_EQ(evaluate("cvt.rn.f32.s32 %x1, 16777217;"), bits(16777216));
  EXPECT_EQ(evaluate("cvt.rn.f32.s32 %x1, -16777219;"), bits(-16777220));
  EXPECT_EQ(evaluate("cvt.rn.f32.u32 %x1, -1;"), bits(0x1p32F));
}

TEST_F(Ptx, KeepsDenormalNumbers) {
  EXPECT_EQ(evaluate("mul.f32", {0x1p-126F, 0.5F}), bits(0x1p-127F));
  EXPECT_EQ(evaluate("add.f32", {0x1p-149F, 0x1p-149F}), bits(0x1p-148F));
}

TEST_F(Ptx, RoundsToHalfToTheNearestEven) {
  const auto half = [&](float value) {
    return evaluate(fmt::format("cvt.rn.f16.f32 %h1, {}; cvt.u32.u16 %x1, %h1;", literal(value)));
  };
  EXPECT_EQ(half(1 + 0x1p-11F), 0x3C00u);
  EXPECT_EQ(half(1 + 0x1.8p-11F), 0x3C01u);
  EXPECT_EQ(half(1 + 0x3p-11F), 0x3C02u);
  EXPECT_EQ(half(-2 + 0x1p-12F), 0xC000u);  // carries into the exponent
  EXPECT_EQ(half(65519), 0x7BFFu);
  EXPECT_EQ(half(-65520), 0xFC00u);
  EXPECT_EQ(half(0x1p-24F), 1u);
  EXPECT_EQ(half(0x1p-25F), 0u);
  EXPECT_EQ(half(0x1.8p-24F), 2u);
  EXPECT_EQ(half(0x1p-14F - 0x1p-26F), 0x400u);  // to the least that is normal
  EXPECT_EQ(half(std::nanf("")), 0x7FFFu);
  EXPECT_EQ(evaluate("cvt.f32.f16 %x1, 0xFE00;"), kNan);
  for (uint32_t h = 0; h < 0x10000; h++) {
    const ptx::Half value{static_cast<uint16_t>(h)};
    if (!std::isnan(ptx::widen(value))) {
      ASSERT_EQ(ptx::narrow(ptx::widen(value)).bits, h);
    }
  }
}

TEST_F(Ptx, OfANumberAndANanTakesTheNumber) {
  const float nan = std::bit_cast<float>(0xFFC12345);
  EXPECT_EQ(evaluate("min.f32", {nan, 1}), bits(1));
  EXPECT_EQ(evaluate("min.f32", {1, nan}), bits(1));
  EXPECT_EQ(evaluate("max.f32", {nan, -kInfinity}), bits(-kInfinity));
  EXPECT_EQ(evaluate("max.f32", {-kInfinity, nan}), bits(-kInfinity));
  EXPECT_EQ(evaluate("max.f32", {nan, nan}), kNan);
  EXPECT_EQ(evaluate("min.f32", {0.0F, -0.0F}), bits(-0.0F));
  EXPECT_EQ(evaluate("max.f32", {-0.0F, 0.0F}), bits(0.0F));
  EXPECT_EQ(evaluate("max.f32", {2, 3}), bits(3));
}

TEST_F(Ptx, MakesOneNan) {
  const float nan = std::bit_cast<float>(0xFFC12345);
  EXPECT_EQ(evaluate("add.f32", {nan, 1}), kNan);
  EXPECT_EQ(evaluate("fma.rn.f32", {kInfinity, 0, 1}), kNan);
  EXPECT_EQ(evaluate("mov.f32", {nan}), 0xFFC12345u);
  EXPECT_EQ(evaluate("neg.f32", {nan}), 0x7FC12345u);
}

TEST_F(Ptx, ComparesNans) {
  const std::string nan = "0f7FC00000", one = literal(1);
  for (const char* ordered : {"eq", "ne", "lt", "le", "gt", "ge", "num"}) {
    EXPECT_FALSE(holds(fmt::format("{}.f32", ordered), nan, one)) << ordered;
    EXPECT_FALSE(holds(fmt::format("{}.f32", ordered), one, nan)) << ordered;
  }
  for (const char* unordered : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"})
    EXPECT_TRUE(holds(fmt::format("{}.f32", unordered), one, nan)) << unordered;
  EXPECT_TRUE(holds("le.f32", one, one));
  EXPECT_FALSE(holds("ltu.f32", one, one));
  EXPECT_FALSE(holds("gt.f16", "0x7E00", "0x3C00"));
  EXPECT_TRUE(holds("gt.f16", "0x3C00", "0xBC00"));
}

TEST_F(Ptx, ComparesWithAndWithoutSign) {
  EXPECT_TRUE(holds("lt.s32", "-1", "1"));
  EXPECT_FALSE(holds("lt.u32", "-1", "1"));
  EXPECT_TRUE(holds("lt.s16", "0xFFFF", "1"));
  EXPECT_FALSE(holds("lt.u16", "0xFFFF", "1"));
}

TEST_F(Ptx, CountsInWholeNumbers) {
  EXPECT_EQ(evaluate("mad.lo.s32 %x1, 65537, 65537, -1;"), 131072u);
  EXPECT_EQ(evaluate("div.s32 %x1, -7, 2;"), static_cast<uint32_t>(-3));
  EXPECT_EQ(evaluate("rem.s32 %x1, -7, 2;"), static_cast<uint32_t>(-1));
  EXPECT_EQ(evaluate("div.s32 %x1, 0x80000000, -1;"), 0x80000000u);
  EXPECT_EQ(evaluate("rem.s32 %x1, 0x80000000, -1;"), 0u);
  EXPECT_EQ(evaluate("div.u32 %x1, -7, 2;"), 0x7FFFFFFCu);
  EXPECT_EQ(evaluate("div.s32 %x1, 7, 0;"), 0xFFFFFFFFu);  // anything, but no trap
  EXPECT_EQ(evaluate("shl.b32 %x1, 1, 32;"), 0u);
  EXPECT_EQ(evaluate("shr.s32 %x1, -8, 40;"), 0xFFFFFFFFu);
  EXPECT_EQ(evaluate("shr.u32 %x1, -8, 1;"), 0x7FFFFFFCu);
  EXPECT_EQ(evaluate("bfe.u32 %x1, 0x12345678, 8, 12;"), 0x456u);
  EXPECT_EQ(evaluate("bfe.u32 %x1, 0x12345678, 24, 32;"), 0x12u);
  EXPECT_EQ(evaluate("bfe.u32 %x1, 0x12345678, 0, 0;"), 0u);
  EXPECT_EQ(evaluate("cvt.s32.s16 %x1, 0x18000;"), 0xFFFF8000u);
  EXPECT_EQ(evaluate("min.u32 %x1, -1, 3;"), 3u);
  EXPECT_EQ(evaluate("max.s32 %x1, -1, -3;"), 0xFFFFFFFFu);
  EXPECT_EQ(evaluate("mul.wide.u16 %x1, 0xFFFF, 0xFFFF;"), 0xFFFE0001u);
  for (const auto& [opcode, high] : {std::pair("mul.wide.s32", 0xFFFFFFFFu), std::pair("mul.wide.u32", 1u)})
    EXPECT_EQ(evaluate(fmt::format("{} %w1, -1, 2; shr.u64 %w1, %w1, 32; cvt.u32.u64 %x1, %w1;", opcode)), high);
}

TEST_F(Ptx, MovesVectors) {
  const std::string joined = "mov.u32 %x2, -2; mov.u32 %x3, 5; mov.b64 %w1, {%x2, %x3};";
  EXPECT_EQ(evaluate(joined + "shr.u64 %w1, %w1, 32; cvt.u32.u64 %x1, %w1;"), 5u);
  EXPECT_EQ(evaluate(joined + "mov.b64 {%x2, %x1}, %w1;"), 5u);
  EXPECT_EQ(evaluate(joined + "mov.b64 {%x1, %x2}, %w1;"), 0xFFFFFFFEu);
  EXPECT_EQ(evaluate(joined + "{ .reg .b32 half; mov.b64 {half, %x1}, %w1; } { .reg .b32 half; }"), 5u);
  EXPECT_EQ(evaluate("mov.b64 %w1, 7; cvt.u32.u64 %x1, %w1;"), 7u);
  const std::string halves = "mov.u16 %h1, -2; mov.u16 %h2, 5; mov.b32 %x1, {%h1, %h2};";
  EXPECT_EQ(evaluate(halves), 0x5FFFEu);
  EXPECT_EQ(evaluate(halves + "mov.b32 {%h1, %h2}, %x1; cvt.u32.u16 %x1, %h2;"), 5u);
}

TEST_F(Ptx, GuardsByPredicates) {
  const std::string body =
      "setp.lt.s32 %p1, {}, 3; setp.gt.s32 %p2, {}, 1; mov.u32 %x1, 0; and.pred %p3, %p1, %p2;"
      "@%p1 add.s32 %x1, %x1, 1; @!%p1 add.s32 %x1, %x1, 2; @%p3 add.s32 %x1, %x1, 4;";
  for (const auto& [value, sum] : {std::pair(1, 1u), std::pair(2, 5u), std::pair(3, 2u)})
    EXPECT_EQ(evaluate(fmt::format(fmt::runtime(body), value, value)), sum) << value;
}

TEST_F(Ptx, Loops) {
  EXPECT_EQ(evaluate("mov.u32 %x1, 0; mov.u32 %x2, 100;\n$L: add.s32 %x1, %x1, %x2; add.s32 %x2, %x2, -1;\n"
                     "setp.ne.s32 %p1, %x2, 0; @%p1 bra $L; bra.uni $M; mov.u32 %x1, 0;\n$M:"),
            5050u);
}

// Sums of a ring: a round reads what another thread wrote in the round before.
const char* const kRing = R"(
  mov.u32 %x1, %tid.x; mov.u32 %x2, 0; mov.u64 %w2, mine;
$L:
  mul.wide.u32 %w1, %x1, 4; add.s64 %w1, %w1, %w2;
  st.shared.b32 [%w1], %x1;
  bar.sync 0;
  mov.u32 %x4, %ntid.x; add.s32 %x3, %x1, 1; rem.u32 %x3, %x3, %x4;
  mul.wide.u32 %w3, %x3, 4; add.s64 %w3, %w3, %w2; ld.shared.b32 %x5, [%w3];
  bar.sync 0;
  st.shared.b32 [%w1], %x5; bar.sync 0; ld.shared.b32 %x5, [%w3];
  bar.sync 0;
  add.s32 %x2, %x2, 1; setp.lt.u32 %p1, %x2, 3; @%p1 bra $L;
  mul.wide.u32 %w1, %x1, 4; add.s64 %w1, %w1, %w0; st.global.b32 [%w1], %x5;)";

TEST_F(Ptx, ThreadsMeetAtBarriers) {
  constexpr unsigned threads = 48;
  ASSERT_EQ(run(kRing, threads), CUDA_SUCCESS);
  for (unsigned t = 0; t < threads; t++) EXPECT_EQ(out(threads)[t], (t + 2) % threads);
}

TEST_F(Ptx, WhoeverHasEndedIsNotWaitedFor) {
  const std::string body =
      "mov.u32 %x1, %tid.x; setp.ge.u32 %p1, %x1, 32; @%p1 ret; bar.sync 0; st.global.b32 [%w0], %x1;";
  EXPECT_EQ(run(body, 64), CUDA_SUCCESS);
  EXPECT_EQ(out(1)[0], 31u);
}

TEST_F(Ptx, ThreadsThatNeverMeetAreToldOf) {
  EXPECT_EQ(run("mov.u32 %x1, %tid.x; shr.u32 %x1, %x1, 5; bar.sync %x1;", 64), CUDA_ERROR_LAUNCH_FAILED);
  const std::string parted =
      "mov.u32 %x1, %tid.x; setp.lt.u32 %p1, %x1, {}; @%p1 bra $A; bar.sync 0; ret;\n$A: bar.sync 0;";
  EXPECT_EQ(run(fmt::format(fmt::runtime(parted), 32), 64), CUDA_SUCCESS);
  EXPECT_EQ(run(fmt::format(fmt::runtime(parted), 8), 64), CUDA_ERROR_LAUNCH_FAILED);
}

TEST_F(Ptx, RacesInSharedMemoryAreToldOf) {
  // what one of two threads writes and the other touches, with a barrier between and without
  for (const auto& [first, second] : {std::pair("@%p1 st.shared.b32 [mine], 1;", "ld.shared.b32 %x2, [mine];"),
                                      std::pair("ld.shared.b32 %x2, [mine];", "@%p1 st.shared.b32 [mine], 1;"),
                                      std::pair("@%p1 st.shared.b32 [mine], 1;", "@!%p1 st.shared.b16 [mine+2], 1;")})
    for (const auto& [between, status] :
         {std::pair("bar.sync 0;", CUDA_SUCCESS), std::pair("", CUDA_ERROR_LAUNCH_FAILED)})
      EXPECT_EQ(run(fmt::format("mov.u32 %x1, %tid.x; setp.eq.u32 %p1, %x1, 1; {} {} {}", first, between, second), 2),
                status)
          << first << between << second;
  const std::string own =
      "mov.u32 %x1, %tid.x; mul.wide.u32 %w1, %x1, 4; st.shared.b32 [%w1], 1; ld.shared.b32 %x1, [%w1];";
  EXPECT_EQ(run(own, 32, 0, 2), CUDA_SUCCESS);
}

TEST_F(Ptx, LoadsAndStoresVectors) {
  ASSERT_EQ(run("st.global.v4.b32 [%w0], {1, 2, 3, 4}; ld.global.nc.v2.u32 {%x1, %x2}, [%w0+8];"
                "st.local.v2.b32 [own+8], {%x2, %x1}; ld.local.b64 %w1, [own+8]; st.global.b64 [%w0+16], %w1;"
                "ld.global.v4.s8 {%x1, %x2, %x3, %x4}, [%w0+4]; st.shared.v4.u32 [mine+16], {%x4, %x3, %x2, %x1};"
                "ld.shared.v4.f32 {%x1, %x2, %x3, %x4}, [mine+16]; st.global.v4.u32 [%w0+32], {%x1, %x2, %x3, %x4};"),
            CUDA_SUCCESS);
  EXPECT_EQ(out(12), (std::vector<uint32_t>{1, 2, 3, 4, 4, 3, kUnwritten, kUnwritten, 0, 0, 0, 2}));
}

TEST_F(Ptx, BytesAreExtended) {
  EXPECT_EQ(evaluate("st.shared.b32 [mine], 0x80FF; ld.shared.s8 %x1, [mine];"), 0xFFFFFFFFu);
  EXPECT_EQ(evaluate("st.shared.b32 [mine], 0x80FF; ld.shared.u16 %x1, [mine];"), 0x80FFu);
}

TEST_F(Ptx, WhatIsNotAllocatedIsRefused) {
  const std::string store = "cvt.s64.s32 %w1, %x0; add.s64 %w1, %w1, %w0; st.global.b32 [%w1], 1;";
  EXPECT_EQ(run(store, 1, 4 * (kWords - 1)), CUDA_SUCCESS);
  EXPECT_EQ(run(store, 1, 4 * kWords), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(run(store, 1, -4), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(run("ld.global.nc.b32 %x1, [0];"), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(run("ld.shared.b32 %x1, [mine+252];"), CUDA_SUCCESS);
  EXPECT_EQ(run("ld.shared.b32 %x1, [mine+256];"), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(run("st.local.b32 [own+16], 0;"), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(run("ld.local.b32 %x1, [own+-4];"), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Ptx, WhatWasFreedOrIsAnotherContextsIsRefused) {
  CUdeviceptr lasts = 0, freed = 0;
  ASSERT_EQ(cuMemAlloc_v2(&lasts, 4), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc_v2(&freed, 4), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFree_v2(freed), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree_v2(freed), CUDA_ERROR_INVALID_VALUE);
  std::swap(out_, freed);
  EXPECT_EQ(run("st.global.b32 [%w0], 1;"), CUDA_ERROR_ILLEGAL_ADDRESS);
  CUcontext other = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  stream_ = nullptr;
  out_ = lasts;
  EXPECT_EQ(run("st.global.b32 [%w0], 1;"), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
}

TEST_F(Ptx, WhatIsMisalignedIsRefused) {
  EXPECT_EQ(run("ld.global.b32 %x1, [%w0+2];"), CUDA_ERROR_MISALIGNED_ADDRESS);
  EXPECT_EQ(run("st.global.b16 [%w0+2], 1;"), CUDA_SUCCESS);
  EXPECT_EQ(run("ld.global.v4.b32 {%x1, %x2, %x3, %x4}, [%w0+8];"), CUDA_ERROR_MISALIGNED_ADDRESS);
  EXPECT_EQ(run("ld.global.v2.b32 {%x1, %x2}, [%w0+8];"), CUDA_SUCCESS);
  EXPECT_EQ(run("st.shared.b32 [mine+1], 1;"), CUDA_ERROR_MISALIGNED_ADDRESS);
}

TEST_F(Ptx, AFaultNamesKernelThreadAndLine) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run("mov.u32 %x1, %ctaid.x; setp.lt.u32 %p1, %x1, 3; @%p1 ret;\n st.global.b32 [1], 1;", 2, 0, 9),
            CUDA_ERROR_MISALIGNED_ADDRESS);
  const std::string said = testing::internal::GetCapturedStderr();
  for (const char* part : {"k: block 3,0,0 thread 0,0,0, line 18: ", "0x1 ", "st.global.b32 [1], 1;"})
    EXPECT_NE(said.find(part), std::string::npos) << said;
}

TEST_F(Ptx, WhatIsUnknownIsRefusedWithItsLine) {
  EXPECT_EQ(refusal(kernel("\n  ex2.approx.f32 %x1, %x2;")),
            "line 18: the instruction ex2.approx.f32 is unknown:   ex2.approx.f32 %x1, %x2;");
  for (const auto& [body, why] :
       std::vector<std::pair<std::string, std::string>>{{"mov.u32 %x1, %x9;", "%x9 is no number"},
                                                        {"mov.u32 %x9, %x1;", "no register %x9"},
                                                        {"mov.u32 %x1, %clock;", "%clock is no number"},
                                                        {"mov.u32 %x1, 12z;", "12z is no number"},
                                                        {"add.s32 %x1, %x2;", "; where , is expected"},
                                                        {"add.s32 %x1, %x2, %x3, %x4;", ", where ; is expected"},
                                                        {"st.global.v2.b32 [%w0], {1};", "} where , is expected"},
                                                        {"bra $L;", "no label $L"},
                                                        {"ld.param.u64 %w1, [at];", "no such parameter"},
                                                        {"ld.shared.u32 %x1, [own];", ".local is used elsewhere"},
                                                        {".pragma \"nounroll\";", "the instruction .pragma is unknown"},
                                                        {".reg .b32 %x1;", "declared twice"}})
    EXPECT_NE(refusal(kernel(body)).find(why), std::string::npos) << refusal(kernel(body));
  EXPECT_NE(refusal(".global .b32 x;").find(".global where .entry is expected"), std::string::npos);
  EXPECT_NE(refusal(".target sm_90").find("newer than the device"), std::string::npos);
  EXPECT_NE(refusal(".visible .entry k()\n{ ret;").find("ends too early"), std::string::npos);
}

TEST_F(Ptx, OfAFatbinItsPtxIsTaken) {
  const std::string text = ".target sm_70 .entry k() { ret; }";
  for (const std::string& whole : {fatbin({{2, 0, "ELF"}, {1, 0, text}}), fatbin({{1, 0x8000, zstd(text)}})}) {
    CUmodule module = nullptr;
    CUfunction k = nullptr;
    ASSERT_EQ(cuModuleLoadData(&module, whole.data()), CUDA_SUCCESS);
    EXPECT_EQ(cuModuleGetFunction(&k, module, "k"), CUDA_SUCCESS);
  }
  EXPECT_EQ(refusal(fatbin({{2, 0, "ELF"}})), "a fatbin without PTX, which is all that is run here");
  EXPECT_EQ(refusal(fatbin({{1, 0x2000, text}})), "a fatbin that is packed: expected zstd, got LZ4");
  EXPECT_EQ(refusal(fatbin({{1, 0x8000, text}})),
            fmt::format("a fatbin that is packed: expected {} bytes of PTX, got others", kUnpacked));
}

TEST_F(Ptx, LaunchesHaveLimits) {
  CUfunction k = load("");
  int at = 0;
  void* parameters[] = {&out_, &at};
  const auto launch = [&](unsigned blocks_y, unsigned x, unsigned z, unsigned shared) {
    return cuLaunchKernel(k, 1, blocks_y, 1, x, 1, z, shared, stream_, parameters, nullptr);
  };
  EXPECT_EQ(launch(1, 1024, 1, 0), CUDA_SUCCESS);
  EXPECT_EQ(launch(1, 1025, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(1, 32, 64, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(0, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  constexpr unsigned most = (48 << 10) - 256;  // besides what the kernel declares
  EXPECT_EQ(launch(1, 1, 1, most), CUDA_SUCCESS);
  EXPECT_EQ(launch(1, 1, 1, most + 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuFuncSetAttribute(k, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, most + 1), CUDA_SUCCESS);
  EXPECT_EQ(launch(1, 1, 1, most + 1), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(k, 1, 0x10000, 1, 1, 1, 1, 0, stream_, parameters, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuLaunchKernel(k, 1, 1, 1, 1, 1, 1, 0, stream_, nullptr, nullptr), CUDA_ERROR_INVALID_VALUE);
  parameters[1] = nullptr;
  EXPECT_EQ(launch(1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Ptx, AKernelsOwnLimitCounts) {
  CUmodule module = nullptr;
  CUfunction k = nullptr;
  const std::string text = ".version 6.0 .target sm_70 .address_size 64 .entry k() .maxntid 8, 4, 1 { ret; }";
  ASSERT_EQ(cuModuleLoadData(&module, text.c_str()), CUDA_SUCCESS);
  ASSERT_EQ(cuModuleGetFunction(&k, module, "k"), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(k, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(k, 1, 1, 1, 33, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuModuleGetFunction(&k, module, "l"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(cuModuleUnload(module), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(k, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Ptx, KnowsItsMemory) {
  CUdeviceptr begin = 0;
  size_t bytes = 0;
  EXPECT_EQ(cuMemGetAddressRange_v2(&begin, &bytes, out_ + 5), CUDA_SUCCESS);
  EXPECT_EQ(begin, out_);
  EXPECT_EQ(bytes, kWords * sizeof(uint32_t));
  CUcontext owner = nullptr;
  EXPECT_EQ(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, out_ + bytes - 1), CUDA_SUCCESS);
  EXPECT_EQ(owner, context_);
  unsigned type = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, out_), CUDA_SUCCESS);
  EXPECT_EQ(type, CU_MEMORYTYPE_DEVICE);
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, reinterpret_cast<CUdeviceptr>(&type)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemsetD32Async(out_ + 4, 7, 2, stream_), CUDA_SUCCESS);
  EXPECT_EQ(out(4), (std::vector<uint32_t>{kUnwritten, 7, 7, kUnwritten}));
  EXPECT_EQ(cuMemsetD32Async(out_ + 4, 7, kWords, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemcpyHtoDAsync_v2(out_ + 1, &type, sizeof type, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync_v2(out_ + bytes - 1, &type, sizeof type, stream_), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Ptx, StreamsBelongToContexts) {
  CUcontext of = nullptr;
  EXPECT_EQ(cuStreamGetCtx(stream_, &of), CUDA_SUCCESS);
  EXPECT_EQ(of, context_);
  CUcontext other = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamGetCtx(nullptr, &of), CUDA_SUCCESS);
  EXPECT_EQ(of, other);
  EXPECT_EQ(cuCtxPopCurrent_v2(&of), CUDA_SUCCESS);
  EXPECT_EQ(of, other);
  EXPECT_EQ(cuCtxGetCurrent(&of), CUDA_SUCCESS);
  EXPECT_EQ(of, context_);
  EXPECT_EQ(cuCtxPushCurrent_v2(other), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetCurrent(&of), CUDA_SUCCESS);
  EXPECT_EQ(of, context_);
  EXPECT_EQ(cuCtxSetCurrent(nullptr), CUDA_SUCCESS);
  CUdeviceptr none = 0;
  EXPECT_EQ(cuMemAlloc_v2(&none, 4), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
}

TEST_F(Ptx, BlocksAndThreadsKnowTheirPlaces) {
  // a word for each thread: its place in the block, then the block's in the grid
  CUfunction k = load(
      "mov.u32 %x1, %ctaid.z; mov.u32 %x2, %nctaid.y; mov.u32 %x3, %ctaid.y; mad.lo.u32 %x1, %x1, %x2, %x3;"
      "mov.u32 %x2, %nctaid.x; mov.u32 %x3, %ctaid.x; mad.lo.u32 %x1, %x1, %x2, %x3;"
      "mov.u32 %x2, %ntid.z; mov.u32 %x3, %tid.z; mad.lo.u32 %x1, %x1, %x2, %x3;"
      "mov.u32 %x2, %ntid.y; mov.u32 %x3, %tid.y; mad.lo.u32 %x1, %x1, %x2, %x3;"
      "mov.u32 %x2, %ntid.x; mov.u32 %x3, %tid.x; mad.lo.u32 %x1, %x1, %x2, %x3;"
      "mul.wide.u32 %w1, %x1, 4; add.s64 %w1, %w1, %w0; st.global.b32 [%w1], %x1;");
  int at = 0;
  void* parameters[] = {&out_, &at};
  ASSERT_EQ(cuLaunchKernel(k, 2, 1, 3, 1, 5, 2, 0, stream_, parameters, nullptr), CUDA_SUCCESS);
  for (unsigned n = 0; n < 60; n++) EXPECT_EQ(out(60)[n], n);
}

// Every module that the generator emitted into a folder.
TEST_F(Ptx, ModulesOfAFolderLoad) {
  const char* folder = std::getenv("LATHE_PTX_FOLDER");
  if (!folder) GTEST_SKIP() << "LATHE_PTX_FOLDER names no folder";
  int modules = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".device") continue;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    CUmodule module = nullptr;
    EXPECT_EQ(cuModuleLoadData(&module, text.str().c_str()), CUDA_SUCCESS) << file.path();
    modules++;
  }
  EXPECT_GT(modules, 0) << folder;
}

}  // namespace
