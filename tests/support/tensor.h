// A tensor that owns guarded memory: any type, any strides, values as doubles.
#pragma once

#include <lathe.h>

#include <cstdint>
#include <string>
#include <vector>

#include "guarded.h"

namespace support {

enum class Type { F32, F16, BF16, I32, I64 };
const char* name_of(Type type);
size_t bytes_of(Type type);
// Distance from 1 to the next number, and the smallest positive number.
double epsilon_of(Type type);
double smallest_of(Type type);
// The nearest number of the type, ties to even.
double rounded(Type type, double x);

using Extents = std::vector<int64_t>;
Extents compact_strides(const Extents& shape);

class Tensor {
 public:
  Tensor(Type type, Extents shape, Edge edge = Edge::Last);
  Tensor(Type type, Extents shape, Extents strides, Edge edge = Edge::Last);

  // Row-major over the shape, whatever the strides are.
  void write(const std::vector<double>& values);
  void fill(double value);
  std::vector<double> read() const;
  // All the memory from the first element to the last, as it is.
  std::vector<unsigned char> bytes() const;
  void put_bytes(const std::vector<unsigned char>& all);
  // How far behind the first of them the element with all indices zero lies.
  size_t bytes_before() const { return static_cast<size_t>(-lowest_) * bytes_of(type_); }
  // No byte was written outside the elements.
  bool surroundings_intact() const;

  Type type() const { return type_; }

  Extents shape, strides;  // what the library is told; free to spoil in a test of refusals, as is the view
  lathe_tensor view{};

 private:
  template <typename Visit>
  void each(Visit visit) const;
  size_t elements() const;

  Type type_;
  Extents true_shape_, true_strides_;
  int64_t lowest_, span_;  // offset of the first element in memory (negative where a stride is), and how many
  Guarded memory_;
};

}  // namespace support
