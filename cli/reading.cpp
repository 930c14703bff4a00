#include "reading.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace lathe::cli {

namespace {

// What the one-byte head must be: how often each byte has followed each other byte. Before the text stands a zero.
class DirectCounts {
 public:
  DirectCounts() : table_(kBytes * kBytes) {}
  void add(uint8_t byte) {
    table_[static_cast<size_t>(last_ * kBytes + byte)]++;
    last_ = byte;
  }
  bool equal(const std::array<float, kBytes>& counts) const {
    return std::equal(counts.begin(), counts.end(), &table_[static_cast<size_t>(last_ * kBytes)]);
  }

 private:
  std::vector<float> table_;
  int last_ = 0;
};

// Squared probabilities: fewer of the bytes that only the smoothing expects.
uint8_t draw(const Probabilities& p, std::mt19937& random) {
  Probabilities squares;
  std::transform(p.begin(), p.end(), squares.begin(), [](double x) { return x * x; });
  double left = std::accumulate(squares.begin(), squares.end(), 0.0) * (random() / 4294967296.0);
  for (size_t b = 0; b < kBytes; b++)
    if ((left -= squares[b]) < 0) return static_cast<uint8_t>(b);
  return ' ';
}

double largest_difference(const Counts& a, const Counts& b) {
  double most = 0;
  for (size_t h = 0; h < kHeads; h++)
    for (size_t i = 0; i < kBytes; i++) most = std::max<double>(most, std::abs(a[h][i] - b[h][i]));
  return most;
}

double largest_difference(const ByteMemory::State& a, const ByteMemory::State& b) {
  double most = 0;
  for (size_t g = 0; g < a.tables.size(); g++)
    for (size_t i = 0; i < a.tables[g].size(); i++)
      most = std::max<double>(most, std::abs(a.tables[g][i] - b.tables[g][i]));
  return most;
}

}  // namespace

Reading read_and_write(const Text& text, int continue_for, int threads, const std::function<void(size_t)>& progress) {
  Reading reading;
  reading.order0 = order0_entropy(text.bytes);
  ByteMemory memory(threads);
  Predictor predictor;
  DirectCounts direct;
  Counts next{};
  predictor.score(next, text.bytes[0]);  // nothing is known of the first byte
  const size_t stretch = std::max<size_t>(text.bytes.size() / 200, 1);
  const auto each = [&](size_t i, const Counts& counts) {
    direct.add(text.bytes[i]);
    reading.readouts++;
    if (!direct.equal(counts[0])) reading.wrong_counts++;
    next = counts;
    if ((i + 1) % stretch == 0) reading.so_far.push_back(predictor.mixture_bits_per_byte());
    if (i + 1 < text.bytes.size()) predictor.score(counts, text.bytes[i + 1]);
    if ((i + 1) % kSegment == 0) progress(i + 1);
  };
  reading.seconds_reading = seconds_of([&] { memory.read(text.bytes, each); });
  progress(text.bytes.size());
  for (int h = 0; h < kHeads; h++) reading.heads[static_cast<size_t>(h)] = predictor.bits_per_byte(h);
  reading.mixture = predictor.mixture_bits_per_byte();

  const ByteMemory::State before = memory.state();
  std::vector<Counts> written;
  std::mt19937 random(1);
  reading.seconds_writing = seconds_of([&] {
    for (int i = 0; i < continue_for; i++) {
      const uint8_t byte = draw(predictor.mixture(i == 0 ? next : written.back()), random);
      reading.continuation += static_cast<char>(byte);
      written.push_back(memory.read_one(byte));
    }
  });
  const ByteMemory::State after = memory.state();
  memory.set_state(before);
  const std::span<const uint8_t> again(reinterpret_cast<const uint8_t*>(reading.continuation.data()), written.size());
  memory.read(again, [&](size_t i, const Counts& counts) {
    reading.decode_difference = std::max(reading.decode_difference, largest_difference(counts, written[i]));
  });
  reading.decode_difference = std::max(reading.decode_difference, largest_difference(memory.state(), after));
  reading.calls = memory.calls();
  return reading;
}

}  // namespace lathe::cli
