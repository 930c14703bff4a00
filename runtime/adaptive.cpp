#include "adaptive.h"

#include <algorithm>
#include <cmath>

namespace lathe {

namespace {

// Of d = x - y, and of o, which is one of the two.
struct Sums {
  double d_d = 0, o_o = 0, d_o = 0;
};

Sums sums_of(const float* x, const float* y, const float* o, int64_t n) {
  constexpr int64_t lanes = 4;
  double d_d[lanes] = {}, o_o[lanes] = {}, d_o[lanes] = {};
  const auto add = [&](int64_t i, int64_t lane) {
    const double other = o[i], d = static_cast<double>(x[i]) - y[i];
    d_d[lane] += d * d, o_o[lane] += other * other, d_o[lane] += d * other;
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t lane = 0; lane < lanes; lane++) add(i + lane, lane);
  for (; i < n; i++) add(i, 0);
  Sums all;
  for (int64_t lane = 0; lane < lanes; lane++) all.d_d += d_d[lane], all.o_o += o_o[lane], all.d_o += d_o[lane];
  return all;
}

// The length of k^T v less that of the token before it. Of the difference, d_k^T v + last_k^T d_v, and not of the two
// lengths, which cancel where tokens hardly differ.
double apart(const TokenRows& token, const LastToken& last, int64_t K, int64_t V) {
  const Sums k = sums_of(token.k, last.k, last.k, K), v = sums_of(token.v, last.v, token.v, V);
  double square = k.d_d * v.o_o + k.o_o * v.d_d + 2 * k.d_o * v.d_o;
  if (std::isfinite(square)) return std::sqrt(std::max(square, 0.));
  // sums of infinities of either sign are not what their differences are
  square = 0;
  for (int64_t key = 0; key < K; key++)
    for (int64_t x = 0; x < V; x++) {
      const double d = static_cast<double>(token.k[key]) * token.v[x] - static_cast<double>(last.k[key]) * last.v[x];
      square += d * d;
    }
  return std::sqrt(square);
}

// The length of a momentum.
double length(const Plan& plan, const Sizes& sizes, const MovedState& of, float* sums) {
  Buffer p(of.momentum, of.columns, sizes.K, of.columns), dots(sums, sizes.K);
  call(*plan.kernels.row_dots, p, p, dots);
  double square = 0;
  for (int64_t key = 0; key < sizes.K; key++) square += sums[key];
  // where float32 has the squares of all that counts
  constexpr double least = 1e-24, most = 1e36;
  if (square >= least && square <= most) return std::sqrt(square);
  square = 0;
  for (int64_t key = 0; key < sizes.K; key++)
    for (int64_t x = 0; x < sizes.V; x++) {
      const double y = of.momentum[key * of.columns + x];
      square += y * y;
    }
  return std::sqrt(square);
}

}  // namespace

int64_t adaptive_floats(const Plan& plan) { return plan.padded.K * (1 + plan.padded.C); }

void keep_last(Worker& w, const TokenRows& token, float* state) {
  std::copy_n(token.k, w.problem().sizes.K, w.plan().last_key_of(state));
  std::copy_n(token.v, w.problem().sizes.V, w.plan().last_value_of(state));
}

Moved moved_by_token(Worker& w, int64_t head, const TokenRows& token, const LastToken& last, const MovedState& of) {
  const Sizes& sizes = w.problem().sizes;
  const float taken = *w.problem()[LATHE_STEP_SIZE].floats(head);
  const double size = length(w.plan(), sizes, of, w.momentum());
  if (size == 0) return {0, 1};
  constexpr double most = 1 - 1e-4;
  const double root = 1 - std::sqrt(static_cast<double>(taken) * apart(token, last, sizes.K, sizes.V) / size),
               kept = root * root;
  return {static_cast<float>(kept > most ? most : kept), taken};
}

Worker::Rows sums_of_keys(Worker& w, const Worker::Rows& keys, int64_t rows, float* z) {
  const Padded& d = w.plan().padded;
  float* sums = w.momentum() + d.K;
  std::fill_n(w.gate(), 2 * d.C, 0.f);
  Buffer k(keys.data, d.K, d.C, keys.stride), entering(z, d.K), b(w.gate(), d.C, 2, d.C), after(sums, d.K, d.C, d.K);
  call(*w.plan().kernels.running_sums, k, entering, b, after);
  std::copy_n(sums + (rows - 1) * d.K, d.K, z);
  return {sums, d.K};
}

}  // namespace lathe
