// A target's vectors, from its Halide target string alone: spaces are also asked where there is no Halide.
#pragma once

#include <string>

namespace lathe::gen {

struct Vectors {
  int lanes;      // float32 numbers in one
  int registers;  // of them
  bool by_lane;   // an FMA may take its multiplier from any lane of one
};

Vectors vectors_of(const std::string& target);
bool has_word(const std::string& target, const std::string& word);

}  // namespace lathe::gen
