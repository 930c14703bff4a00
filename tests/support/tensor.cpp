#include "tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace support {
namespace {

struct Format {
  const char* name;
  size_t bytes;
  uint8_t code;
  int mantissa, lowest, highest;  // stored mantissa bits and the range of exponents of a float; 0 for integers
};

const Format& format(Type type) {
  static const Format table[] = {{"f32", 4, 2, 23, -126, 127},
                                 {"f16", 2, 2, 10, -14, 15},
                                 {"bf16", 2, 4, 7, -126, 127},
                                 {"i32", 4, 0, 0, 0, 0},
                                 {"i64", 8, 0, 0, 0, 0}};
  return table[static_cast<size_t>(type)];
}

// float32 is what the machine itself converts to; the others follow the definition.
bool is_native(const Format& f) { return f.mantissa == 23; }

int exponent_of(double magnitude) { return static_cast<int>(std::bit_cast<uint64_t>(magnitude) >> 52) - 1023; }
// 2^n where that is a normal number; the library's functions were a tenth of a suite's time.
double power(int n) { return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52); }

uint32_t encode(const Format& f, double x) {
  if (is_native(f) && !std::isnan(x)) return std::bit_cast<uint32_t>(static_cast<float>(x));
  const int exponent_bits = static_cast<int>(f.bytes) * 8 - 1 - f.mantissa;
  const uint32_t sign = std::signbit(x) ? 1u << (f.mantissa + exponent_bits) : 0;
  const uint32_t infinity = ((1u << exponent_bits) - 1) << f.mantissa;
  if (std::isnan(x)) return sign | infinity | 1u << (f.mantissa - 1);
  const double magnitude = std::abs(x);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude) || exponent_of(magnitude) > f.highest) return sign | infinity;
  const int exponent = std::max(exponent_of(magnitude), f.lowest);
  // Steps of the last place; a carry into the exponent comes out right by itself.
  const auto steps = static_cast<uint32_t>(std::nearbyint(magnitude * power(f.mantissa - exponent)));
  const auto bits = (static_cast<uint32_t>(exponent - f.lowest) << f.mantissa) + steps;
  return sign | std::min(bits, infinity);
}

double decode(const Format& f, uint32_t bits) {
  if (is_native(f)) return static_cast<double>(std::bit_cast<float>(bits));
  const int exponent_bits = static_cast<int>(f.bytes) * 8 - 1 - f.mantissa;
  const uint32_t mantissa = bits & ((1u << f.mantissa) - 1), all_ones = (1u << exponent_bits) - 1;
  const uint32_t exponent = bits >> f.mantissa & all_ones;
  const double sign = bits >> (f.mantissa + exponent_bits) != 0 ? -1 : 1;
  if (exponent == all_ones)
    return sign * (mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity());
  const uint32_t steps = exponent == 0 ? mantissa : mantissa + (1u << f.mantissa);
  return sign * steps * power(static_cast<int>(std::max(exponent, 1u)) - 1 + f.lowest - f.mantissa);
}

// Of memory that holds 8 bytes on our side: a call for each element would be most of what writing a tensor takes.
void copy(void* to, const void* from, size_t bytes) {
  switch (bytes) {
    case 2:
      std::memcpy(to, from, 2);
      break;
    case 4:
      std::memcpy(to, from, 4);
      break;
    default:
      std::memcpy(to, from, 8);
  }
}

bool is_float(const Format& f) { return f.mantissa > 0; }

void put(const Format& f, unsigned char* to, double value) {
  if (is_float(f)) {
    const uint64_t bits = encode(f, value);
    copy(to, &bits, f.bytes);
  } else {
    const auto integer = static_cast<int64_t>(value);
    copy(to, &integer, f.bytes);
  }
}

double get(const Format& f, const unsigned char* from) {
  if (is_float(f)) {
    uint64_t bits = 0;
    copy(&bits, from, f.bytes);
    return decode(f, static_cast<uint32_t>(bits));
  }
  int64_t integer = 0;
  copy(&integer, from, f.bytes);
  return static_cast<double>(f.bytes == 4 ? static_cast<int32_t>(integer) : integer);
}

// The sum of (extent - 1) * stride over the strides of one sign: how far a tensor reaches to that side.
int64_t reach(const Extents& shape, const Extents& strides, int sign) {
  int64_t sum = 0;
  for (size_t i = 0; i < shape.size(); ++i)
    if (strides[i] * sign > 0) sum += (shape[i] - 1) * strides[i];
  return sum;
}

bool is_empty(const Extents& shape) { return std::count(shape.begin(), shape.end(), 0) > 0; }

}  // namespace

const char* name_of(Type type) { return format(type).name; }
size_t bytes_of(Type type) { return format(type).bytes; }
double epsilon_of(Type type) { return std::ldexp(1, -format(type).mantissa); }
double smallest_of(Type type) { return std::ldexp(1, format(type).lowest - format(type).mantissa); }
double rounded(Type type, double x) { return decode(format(type), encode(format(type), x)); }

Extents compact_strides(const Extents& shape) {
  Extents strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

Tensor::Tensor(Type type, Extents extents, Edge edge) : Tensor(type, extents, compact_strides(extents), edge) {}

Tensor::Tensor(Type type, Extents extents, Extents steps, Edge edge)
    : shape(extents),
      strides(steps),
      type_(type),
      true_shape_(extents),
      true_strides_(steps),
      lowest_(is_empty(extents) ? 0 : reach(extents, steps, -1)),
      span_(is_empty(extents) ? 0 : reach(extents, steps, 1) - lowest_ + 1),
      memory_(static_cast<size_t>(span_) * bytes_of(type), edge) {
  view.data = memory_.data() - lowest_ * static_cast<int64_t>(bytes_of(type));
  view.device_type = 1;
  view.ndim = static_cast<int32_t>(shape.size());
  view.code = format(type).code;
  view.bits = static_cast<uint8_t>(8 * bytes_of(type));
  view.lanes = 1;
  view.shape = shape.data();
  view.strides = strides.data();
}

// Visits the byte offset in memory of every element, row-major over the shape; rows without an index, since most of
// what a suite does is this.
template <typename Visit>
void Tensor::each(Visit visit) const {
  if (is_empty(true_shape_)) return;
  const auto bytes = static_cast<int64_t>(bytes_of(type_));
  const size_t outer = true_shape_.empty() ? 0 : true_shape_.size() - 1;
  const int64_t row = true_shape_.empty() ? 1 : true_shape_.back();
  const int64_t step = true_shape_.empty() ? 0 : true_strides_.back() * bytes;
  Extents index(outer, 0);
  for (;;) {
    int64_t offset = -lowest_;
    for (size_t i = 0; i < outer; ++i) offset += index[i] * true_strides_[i];
    offset *= bytes;
    for (int64_t n = 0; n < row; ++n, offset += step) visit(static_cast<size_t>(offset));
    size_t i = outer;
    while (i > 0 && ++index[i - 1] == true_shape_[i - 1]) index[--i] = 0;
    if (i == 0) return;
  }
}

size_t Tensor::elements() const {
  return std::accumulate(true_shape_.begin(), true_shape_.end(), size_t{1},
                         [](size_t count, int64_t extent) { return count * static_cast<size_t>(extent); });
}

void Tensor::write(const std::vector<double>& values) {
  const Format& f = format(type_);
  size_t n = 0;
  each([&](size_t at) { put(f, memory_.data() + at, values.at(n++)); });
  if (n != values.size()) throw std::logic_error("as many values as elements are needed");
}

void Tensor::fill(double value) {
  unsigned char element[sizeof(int64_t)] = {};
  put(format(type_), element, value);
  const size_t bytes = bytes_of(type_);
  each([&](size_t at) { copy(memory_.data() + at, element, bytes); });
}

std::vector<double> Tensor::read() const {
  std::vector<double> values;
  values.reserve(elements());
  const Format& f = format(type_);
  each([&](size_t at) { values.push_back(get(f, memory_.data() + at)); });
  return values;
}

std::vector<unsigned char> Tensor::bytes() const {
  return {memory_.data(), memory_.data() + static_cast<size_t>(span_) * bytes_of(type_)};
}

void Tensor::put_bytes(const std::vector<unsigned char>& all) { std::copy(all.begin(), all.end(), memory_.data()); }

bool Tensor::surroundings_intact() const {
  const bool repeats = std::count(true_strides_.begin(), true_strides_.end(), 0) > 0;
  if (!repeats && static_cast<size_t>(span_) == elements()) return memory_.slack_intact();
  std::vector<unsigned char> element(static_cast<size_t>(span_) * bytes_of(type_), 0);
  each([&](size_t at) { std::memset(&element[at], 1, bytes_of(type_)); });
  for (size_t i = 0; i < element.size(); ++i)
    if (!element[i] && memory_.data()[i] != Guarded::pattern) return false;
  return memory_.slack_intact();
}

}  // namespace support
