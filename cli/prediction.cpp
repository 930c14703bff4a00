#include "prediction.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lathe::cli {

namespace {

constexpr size_t kLevels = 4;

double total(const Counts& counts, size_t head) {
  return std::accumulate(counts[head].begin(), counts[head].end(), 0.0) + kBytes * kSmoothing;
}

}  // namespace

Predictor::Predictor() {
  size_t patterns = 1;
  for (int h = 1; h < kHeads; h++) patterns *= kLevels;
  Weights equal;
  equal.fill(1.0 / kHeads);
  weights_.assign(patterns, equal);
}

size_t Predictor::pattern(const Counts& counts) {
  size_t index = 0;
  for (size_t h = 1; h < kHeads; h++) {
    const float most = *std::max_element(counts[h].begin(), counts[h].end());
    index = index * kLevels + std::min(static_cast<size_t>(std::log2(most + 1)), kLevels - 1);
  }
  return index;
}

Probabilities Predictor::mixture(const Counts& counts) const {
  const Weights& weights = weights_[pattern(counts)];
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  Probabilities p{};
  for (size_t h = 0; h < kHeads; h++) {
    const double scale = weights[h] / sum / total(counts, h);
    for (size_t b = 0; b < kBytes; b++) p[b] += scale * (counts[h][b] + kSmoothing);
  }
  return p;
}

void Predictor::score(const Counts& counts, uint8_t byte) {
  Weights& weights = weights_[pattern(counts)];
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  Weights shares;
  double mixed = 0;
  for (size_t h = 0; h < kHeads; h++) {
    const double p = (counts[h][byte] + kSmoothing) / total(counts, h);
    bits_[h] -= std::log2(p);
    shares[h] = weights[h] / sum * p;
    mixed += shares[h];
  }
  mixture_bits_ -= std::log2(mixed);
  for (size_t h = 0; h < kHeads; h++) weights[h] = kForget * weights[h] + shares[h] / mixed;
  bytes_++;
}

double order0_entropy(std::span<const uint8_t> text) {
  std::array<double, kBytes> counts{};
  for (uint8_t byte : text) counts[byte]++;
  double bits = 0;
  for (double n : counts)
    if (n > 0) bits -= n * std::log2(n / static_cast<double>(text.size()));
  return bits / static_cast<double>(text.size());
}

}  // namespace lathe::cli
