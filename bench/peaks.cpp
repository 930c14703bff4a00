#include "peaks.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lathe::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 1 << 16;

// Sixteen sums hide a latency of four on two ports twice over; AVX2 has registers for twelve and the two constants.
#define LATHE_FMA_PROBE(name, isa, vector, accumulators, set1, madd, lane)                         \
  __attribute__((target(isa))) float name(float seed) {                                            \
    vector sum[accumulators];                                                                      \
    for (int i = 0; i < accumulators; i++) sum[i] = set1(seed + static_cast<float>(i));            \
    const vector a = set1(seed * 0.25f), b = set1(seed * 0.5f);                                    \
    for (int round = 0; round < kRounds; round++) {                                                \
      _Pragma("GCC unroll 16") for (int i = 0; i < accumulators; i++) sum[i] = madd(sum[i], a, b); \
    }                                                                                              \
    float total = 0;                                                                               \
    for (int i = 0; i < accumulators; i++) total += lane(sum[i]);                                  \
    return total;                                                                                  \
  }

struct Kernel {
  const char* instructions;
  bool (*runs)();
  float (*work)(float);
  double flops;  // of one call
};

#if defined(__x86_64__)

#define LATHE_MUL_ADD(x, a, b) _mm_add_ps(_mm_mul_ps(x, a), b)
LATHE_FMA_PROBE(probe_sse, "sse4.1", __m128, 12, _mm_set1_ps, LATHE_MUL_ADD, _mm_cvtss_f32)
LATHE_FMA_PROBE(probe_avx2, "avx2,fma", __m256, 12, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
LATHE_FMA_PROBE(probe_avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)

const Kernel kKernels[] = {
    {"sse", [] { return true; }, probe_sse, 2.0 * 4 * 12 * kRounds},
    {"avx2+fma", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, probe_avx2,
     2.0 * 8 * 12 * kRounds},
    {"avx512", [] { return __builtin_cpu_supports("avx512f") != 0; }, probe_avx512, 2.0 * 16 * 16 * kRounds},
};

__attribute__((target("avx2"))) void stream_avx2(float* x, size_t count, float a, float b) {
  const __m256 factor = _mm256_set1_ps(a), term = _mm256_set1_ps(b);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor), term));
    _mm256_storeu_ps(x + i + 8, _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), factor), term));
  }
  for (; i < count; i++) x[i] = a * x[i] + b;
}

__attribute__((target("avx512f"))) void stream_avx512(float* x, size_t count, float a, float b) {
  const __m512 factor = _mm512_set1_ps(a), term = _mm512_set1_ps(b);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    _mm512_storeu_ps(x + i, _mm512_fmadd_ps(_mm512_loadu_ps(x + i), factor, term));
    _mm512_storeu_ps(x + i + 16, _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 16), factor, term));
  }
  for (; i < count; i++) x[i] = a * x[i] + b;
}

#else

float probe_plain(float seed) {
  typedef float Vector __attribute__((vector_size(16)));
  Vector sum[16];
  for (int i = 0; i < 16; i++) sum[i] = Vector{} + seed + static_cast<float>(i);
  const Vector a = Vector{} + seed * 0.25f, b = Vector{} + seed * 0.5f;
  for (int round = 0; round < kRounds; round++) {
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) sum[i] = sum[i] * a + b;
  }
  float total = 0;
  for (const Vector& vector : sum) total += vector[0];
  return total;
}

const Kernel kKernels[] = {{"128-bit vectors", [] { return true; }, probe_plain, 2.0 * 4 * 16 * kRounds}};

#endif

// Neither may know what the numbers are, or it would compute them beforehand.
volatile float seed_of_probes = 1, stream_factor = 1, stream_term = 0;
volatile float sink_of_probes;

double timed(const Kernel& kernel) {
  const auto start = Clock::now();
  sink_of_probes = kernel.work(seed_of_probes);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int fastest_kernel() {
  static const int kFastest = [] {
    int fastest = 0;
    double most = 0;
    for (size_t i = 0; i < std::size(kKernels); i++) {
      if (!kKernels[i].runs()) continue;
      double best = std::numeric_limits<double>::max();
      for (int n = 0; n < 200; n++) best = std::min(best, timed(kKernels[i]));
      if (kKernels[i].flops / best > most) {
        most = kKernels[i].flops / best;
        fastest = static_cast<int>(i);
      }
    }
    return fastest;
  }();
  return kFastest;
}

void stream(float* x, size_t count, float a, float b) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return stream_avx512(x, count, a, b);
  if (__builtin_cpu_supports("avx2")) return stream_avx2(x, count, a, b);
#endif
  for (size_t i = 0; i < count; i++) x[i] = a * x[i] + b;
}

}  // namespace

FmaProbe::FmaProbe(int threads) : team_(threads), kernel_(fastest_kernel()) {}

// Waking a thread costs tens of microseconds: a team works longer between two calls.
int FmaProbe::rounds() const { return team_.size() > 1 ? 16 : 1; }

double FmaProbe::flops() const { return kKernels[kernel_].flops * team_.size() * rounds(); }

std::string FmaProbe::instructions() const { return kKernels[kernel_].instructions; }

double FmaProbe::seconds(int repeats) {
  const auto start = Clock::now();
  team_.run([&](int) {
    float total = 0;
    for (int i = 0; i < repeats * rounds(); i++) total += kKernels[kernel_].work(seed_of_probes);
    sink_of_probes = total;
  });
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double StreamProbe::seconds(int repeats) {
  const auto start = Clock::now();
  const auto threads = static_cast<size_t>(team_.size());
  for (int i = 0; i < repeats; i++)
    team_.run([&](int index) {
      const size_t part = (count_ / threads + 15) / 16 * 16,
                   first = std::min(count_, part * static_cast<size_t>(index));
      stream(data_ + first, std::min(part, count_ - first), stream_factor, stream_term);
    });
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace lathe::bench
