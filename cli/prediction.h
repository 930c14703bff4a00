// From counts to probabilities, and what they cost in bits.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "byte_memory.h"

namespace lathe::cli {

using Probabilities = std::array<double, kBytes>;

// Added to each of the 256 counts of a head: p(byte) = (count + kSmoothing) / (all counts + 256 kSmoothing).
constexpr double kSmoothing = 0.01;
// What a weight of the mixture keeps of itself when its pattern comes again.
constexpr double kForget = 0.98;

class Predictor {
 public:
  Predictor();

  // What the mixture expects.
  Probabilities mixture(const Counts& counts) const;
  // The byte came: adds what it cost, and moves the weights towards the heads that expected it.
  void score(const Counts& counts, uint8_t byte);

  int64_t bytes() const { return bytes_; }
  double bits_per_byte(int head) const { return bits_[static_cast<size_t>(head)] / static_cast<double>(bytes_); }
  double mixture_bits_per_byte() const { return mixture_bits_ / static_cast<double>(bytes_); }

 private:
  // The weights are learned online, by expectation maximisation that forgets; one set for each pattern of how large
  // the largest count of each hashed head is, since a head is worth what it has seen of the context.
  using Weights = std::array<double, kHeads>;
  static size_t pattern(const Counts& counts);

  std::vector<Weights> weights_;
  std::array<double, kHeads> bits_{};
  double mixture_bits_ = 0;
  int64_t bytes_ = 0;
};

// Bits per byte of the best code that knows how often each byte occurs, and nothing of their order.
double order0_entropy(std::span<const uint8_t> text);

}  // namespace lathe::cli
