#include "problem.h"

#include <sys/mman.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "lathe.h"

namespace lathe::bench {

namespace {

constexpr size_t kLargePage = size_t{1} << 21;

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float from_bf16(uint16_t x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }

// Through a double whose spacing at that exponent is float16's; exact for the numbers used here, which are finite.
uint16_t to_f16(float x) {
  if (x == 0) return 0;
  const int exponent = std::max(std::ilogb(x), -14);
  const double mantissa = std::nearbyint(std::ldexp(std::fabs(static_cast<double>(x)), 10 - exponent));
  const int bits = (exponent + 14) * 1024 + static_cast<int>(mantissa);
  return static_cast<uint16_t>((std::signbit(x) ? 0x8000 : 0) | bits);
}

float from_f16(uint16_t x) {
  const int exponent = (x >> 10) & 31, mantissa = x & 1023;
  if (exponent == 31) return mantissa != 0 ? NAN : std::copysign(INFINITY, x & 0x8000 ? -1.0f : 1.0f);
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                   : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return x & 0x8000 ? -size : size;
}

int64_t gates(const Case& c) { return c.shape.batch * c.shape.tokens * c.shape.key_heads * gate_width(c); }

int64_t betas(const Case& c) { return corrects(c) ? c.shape.batch * c.shape.tokens * c.shape.key_heads : 0; }

int64_t row_numbers(const Case& c) {
  return has_rows(c) ? c.shape.batch * c.shape.tokens * c.shape.key_heads * key_width(c) : 0;
}

size_t tensor_bytes(const Case& c, int64_t head_count, int64_t width) {
  return static_cast<size_t>(c.shape.batch * c.shape.tokens * head_count * width * bytes_of(c.dtype));
}

}  // namespace

float Problem::log_decay_at(int64_t b, int64_t t, int64_t h, int64_t key) const {
  const int64_t width = gate_width(what), row = (b * what.shape.tokens + t) * what.shape.key_heads + h;
  if (width > 0) return first(Tensor::kGate, row * width + key % width);
  return has_decay(what) ? log_decay * step_at(b, t, h) : 0;
}

float Problem::bonus_at(int64_t h, int64_t key) const { return first(Tensor::kBonus, h * key_width(what) + key); }

float Problem::step_at(int64_t b, int64_t t, int64_t h) const {
  return has_steps(what) ? first(Tensor::kStep, (b * what.shape.tokens + t) * what.shape.key_heads + h) : 1;
}

float Problem::of_key(Tensor tensor, int64_t b, int64_t t, int64_t h, int64_t key) const {
  return first(tensor, ((b * what.shape.tokens + t) * what.shape.key_heads + h) * key_width(what) + key);
}

float Problem::beta_at(int64_t b, int64_t t, int64_t h) const {
  return first(Tensor::kBeta, (b * what.shape.tokens + t) * what.shape.key_heads + h);
}

int64_t bytes_of(const std::string& dtype) { return dtype == "f32" ? 4 : 2; }

Memory::Memory(size_t bytes) : bytes_((bytes / kLargePage + 2) * kLargePage) {
  data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
}

Memory::~Memory() { munmap(data_, bytes_); }

Problem::Problem(const Case& c)
    : what(c),
      q(tensor_bytes(c, c.shape.query_heads, c.shape.width)),
      k(tensor_bytes(c, c.shape.key_heads, c.keys * c.shape.width)),
      v(tensor_bytes(c, c.shape.key_heads, c.shape.value_width)),
      // ggml writes its state behind the output.
      o(tensor_bytes(c, heads(c), c.shape.value_width) +
        (c.op == "decode" && c.shape.batch > 1 ? 0 : static_cast<size_t>(state_bytes(c)))),
      state(c.op == "decode" ? static_cast<size_t>(state_bytes(c)) : 0),
      z(static_cast<size_t>(c.shape.batch * c.shape.key_heads * key_width(c)) * sizeof(float)),
      projection(static_cast<size_t>(c.shape.projections * c.shape.width) * sizeof(float)),
      gate(static_cast<size_t>(gates(c)) * sizeof(float)),
      momentum(moves(c) && c.op == "decode" ? static_cast<size_t>(state_bytes(c)) : 0),
      last(adapts(c) && c.op == "decode"
               ? static_cast<size_t>(c.shape.batch * c.shape.key_heads * (key_width(c) + c.shape.value_width)) *
                     sizeof(float)
               : 0),
      bonus(has_bonus(c) ? static_cast<size_t>(c.shape.key_heads * key_width(c)) * sizeof(float) : 0),
      steps(has_steps(c) ? static_cast<size_t>(c.shape.batch * c.shape.tokens * c.shape.key_heads) * sizeof(float) : 0),
      beta(static_cast<size_t>(betas(c)) * sizeof(float)),
      reads(static_cast<size_t>(row_numbers(c)) * sizeof(float)),
      adds(static_cast<size_t>(row_numbers(c)) * sizeof(float)),
      d_o(is_backward(c) ? tensor_bytes(c, heads(c), c.shape.value_width) : 0),
      d_q(is_backward(c) ? tensor_bytes(c, c.shape.query_heads, c.shape.width) : 0),
      d_k(is_backward(c) ? tensor_bytes(c, c.shape.key_heads, c.keys * c.shape.width) : 0),
      d_v(is_backward(c) ? tensor_bytes(c, c.shape.key_heads, c.shape.value_width) : 0),
      d_gate(is_backward(c) ? static_cast<size_t>(gates(c) + c.shape.key_heads) * sizeof(float) : 0),
      d_bonus(static_cast<size_t>(c.shape.key_heads * key_width(c)) * sizeof(float)),
      d_steps(static_cast<size_t>(c.shape.batch * c.shape.tokens * c.shape.key_heads) * sizeof(float)),
      d_beta(static_cast<size_t>(betas(c)) * sizeof(float)) {
  const Shape& s = c.shape;
  const int64_t rows = s.batch * s.tokens;
  fill(q, Tensor::kQuery, rows * s.query_heads * s.width);
  fill(k, Tensor::kKey, rows * s.key_heads * c.keys * s.width);
  fill(v, Tensor::kValue, rows * s.key_heads * s.value_width);
  fill(gate, Tensor::kGate, gates(c));
  if (has_bonus(c)) fill(bonus, Tensor::kBonus, s.key_heads * key_width(c));
  if (has_steps(c)) fill(steps, Tensor::kStep, rows * s.key_heads);
  fill(beta, Tensor::kBeta, betas(c));
  fill(reads, Tensor::kReads, row_numbers(c));
  fill(adds, Tensor::kAdds, row_numbers(c));
  if (is_backward(c)) fill(d_o, Tensor::kOutputGradient, rows * heads(c) * s.value_width);
  if (c.op == "decode") {
    fill(state, Tensor::kState, s.batch * s.key_heads * key_width(c) * s.value_width);
    fill(z, Tensor::kNormaliser, s.batch * s.key_heads * key_width(c));
  }
  if (s.projections > 0) lathe_draw_projection(1, 1, 0, s.projections, s.width, projection.floats());
}

float Problem::first(Tensor tensor, int64_t i) const {
  // A third of what a row that is no longer than sqrt(3) reads is taken away along it: states must not grow.
  if (tensor == Tensor::kAdds) return first(Tensor::kReads, i) / -3;
  const uint64_t bits = mixed(static_cast<uint64_t>(i) * 16 + static_cast<uint64_t>(tensor) + 1);
  const float uniform = static_cast<float>(bits >> 40) * 0x1p-23f - 1;
  if (tensor == Tensor::kState || tensor == Tensor::kBonus) return uniform;
  if (tensor == Tensor::kReads) return uniform * std::sqrt(3 / static_cast<float>(key_width(what)));
  if (tensor == Tensor::kStep) return (1 + uniform) / 2;
  if (tensor == Tensor::kGate) return -0.05f * (1 + uniform);
  // Times the square of a key below 2/3: states must not grow.
  if (tensor == Tensor::kBeta) return (1 + uniform) / static_cast<float>(what.shape.width);
  // A sum of positive keys, as any that normalises is.
  if (tensor == Tensor::kNormaliser) return uniform + 2;
  if (what.dtype == "bf16") return from_bf16(to_bf16(uniform));
  if (what.dtype == "f16") return from_f16(to_f16(uniform));
  return uniform;
}

int64_t Problem::row(int64_t b, int64_t t, int64_t h, int64_t head_count, int64_t width) const {
  const int64_t tokens = what.shape.tokens;
  return (what.layout == Layout::kBhtd ? (b * head_count + h) * tokens + t : (b * tokens + t) * head_count + h) * width;
}

int64_t Problem::output_size() const {
  return what.shape.batch * what.shape.tokens * heads(what) * what.shape.value_width;
}

std::vector<float> Problem::output() const {
  if (is_backward(what)) {
    std::vector<float> all;
    const Shape& s = what.shape;
    const auto add = [&](const Memory& memory, int64_t width) {
      all.insert(all.end(), memory.floats(), memory.floats() + s.batch * s.tokens * s.key_heads * width);
    };
    add(d_q, s.width), add(d_k, what.keys * s.width), add(d_v, s.value_width);
    return all;
  }
  std::vector<float> values(static_cast<size_t>(output_size()));
  const auto* halves = static_cast<const uint16_t*>(o.data());
  for (size_t i = 0; i < values.size(); i++)
    values[i] = what.dtype == "f32" ? o.floats()[i] : what.dtype == "bf16" ? from_bf16(halves[i]) : from_f16(halves[i]);
  return values;
}

void Problem::fill(const Memory& memory, Tensor tensor, int64_t count) const {
  const bool narrow = what.dtype != "f32" && tensor <= Tensor::kValue;
  auto* halves = static_cast<uint16_t*>(memory.data());
  for (int64_t i = 0; i < count; i++) {
    const float value = first(tensor, i);
    if (!narrow)
      memory.floats()[i] = value;
    else
      halves[i] = what.dtype == "bf16" ? to_bf16(value) : to_f16(value);
  }
}

}  // namespace lathe::bench
