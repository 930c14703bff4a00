// The first half of the demo: a memory reads a text, predicts it, and goes on writing.
#pragma once

#include <functional>
#include <string>

#include "prediction.h"
#include "text.h"

namespace lathe::cli {

struct Reading {
  double order0 = 0, mixture = 0;
  std::array<double, kHeads> heads{};  // bits per byte
  std::vector<double> so_far;          // bits per byte of the mixture, over the stretches of the text
  int64_t wrong_counts = 0;            // readouts of the one-byte head that differ from counting directly
  int64_t readouts = 0;                // ... out of so many
  std::string continuation;
  double decode_difference = 0;  // decode against parallel over the continuation: readouts and final states
  double seconds_reading = 0, seconds_writing = 0;
  std::vector<Timed> calls;
};

// `progress` is told the bytes read.
Reading read_and_write(const Text& text, int continue_for, int threads, const std::function<void(size_t)>& progress);

}  // namespace lathe::cli
