// A call of the self-test and its tensors.
#pragma once

#include <cmath>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "maps.h"
#include "operators.h"
#include "tensor.h"
#include "variants.h"

namespace lathe::trial {

// Neither a multiple of a vector nor below one: whole blocks and what is left over. Whole blocks alone are what kernels
// may read where they lie.
constexpr int64_t kWidth = 24, kWholeWidth = 32, kFeatures = 20, kQueryHeads = 2;
// Two heads of queries over one of keys and values, so that decoding also reads a state it has just written.
constexpr double kScale = 0.5, kEps = 0x1p-20;
// For maps that need an attribute: any number will do.
constexpr double kAttribute = 512;

// Logs of decays are negative. What corrects is small beside keys of so many numbers, which else would make states
// grow.
enum Sign { kAny, kPositive, kDecaying, kCorrecting };

// A tensor and its memory. Inputs are multiples of 1/8, which every type holds exactly; outputs begin as NaN.
class Field {
 public:
  Field(Storage storage, std::vector<int64_t> shape) : storage_(storage), shape_(std::move(shape)) {
    for (int64_t extent : shape_) n_ *= static_cast<size_t>(extent);
    bytes_.assign(n_ * bytes(), 0xff);
  }

  size_t size() const { return n_; }
  Storage storage() const { return storage_; }
  const std::vector<int64_t>& shape() const { return shape_; }

  void draw(uint32_t seed, Sign sign) {
    for (size_t i = 0; i < n_; i++) {
      const uint32_t mixed = (static_cast<uint32_t>(i) + seed) * 2654435761u >> 13;
      const bool negative = sign == kDecaying || (sign == kAny && mixed & 8);
      const float size = sign == kCorrecting ? 256.f : 8.f;
      write(i, static_cast<float>(mixed % 8 + 1) / (negative ? -size : size));
    }
  }

  void write(size_t i, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (storage_ == Storage::kBF16) bits >>= 16;
    // float16 counts exponents from 15 where float32 does from 127
    if (storage_ == Storage::kF16) bits = (bits >> 16 & 0x8000) | (((bits & 0x7fffffff) >> 13) - ((127 - 15) << 10));
    std::memcpy(&bytes_[i * bytes()], &bits, bytes());
  }

  double operator[](size_t i) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &bytes_[i * bytes()], bytes());
    if (storage_ == Storage::kBF16) bits <<= 16;
    if (storage_ == Storage::kF16) return from_half(static_cast<int>(bits));
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
  }

  lathe_tensor view() {
    lathe_tensor tensor{};
    tensor.data = bytes_.data();
    tensor.device_type = 1;
    tensor.ndim = static_cast<int32_t>(shape_.size());
    tensor.code = storage_ == Storage::kBF16 ? 4 : 2;
    tensor.bits = static_cast<uint8_t>(8 * bytes());
    tensor.lanes = 1;
    tensor.shape = shape_.data();
    return tensor;
  }

 private:
  size_t bytes() const { return storage_ == Storage::kF32 ? 4 : 2; }
  static double from_half(int bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 31  ? (fraction ? std::nan("") : INFINITY)
                        : exponent == 0 ? std::ldexp(fraction, -24)
                                        : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
  }

  Storage storage_;
  std::vector<int64_t> shape_;
  size_t n_ = 1;
  std::vector<unsigned char> bytes_;
};

struct Case {
  const Operator& op;
  const FeatureMap& map;
  const Variant& variant;
  Storage storage = Storage::kF32;
  bool normalise = false;
  int64_t width = kWidth;
  int64_t mixed = 0;  // keys of a token, where there are several
  bool mixes_first = false;
  int64_t queries = kQueryHeads;
  int threads = 1;

  double attribute() const {
    const double fallback = map.fallback(width);
    return std::isnan(fallback) ? kAttribute : fallback;
  }
  int64_t features() const { return map.projects() ? kFeatures : 0; }
  int64_t keys() const { return map.width(width, features(), attribute()); }
  bool reads(uint32_t role) const { return op.takes(role); }
};

// The tensors of a case, by role; an absent one has no memory.
class Tensors {
 public:
  Tensors(const Case& c, int64_t tokens) : tokens_(tokens) {
    const Storage f32 = Storage::kF32;
    add(c, LATHE_Q, c.storage, {1, tokens, c.queries, c.width});
    if (c.mixed > 0) {
      add(c, LATHE_K, c.storage, {1, tokens, 1, c.mixed, c.width});
      add(c, LATHE_MIXTURE, f32, {1, c.mixed});
    } else {
      add(c, LATHE_K, c.storage, {1, tokens, 1, c.width});
    }
    add(c, LATHE_V, c.storage, {1, tokens, 1, c.width});
    add(c, LATHE_O, c.storage, {1, tokens, c.queries, c.width});
    for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT}) add(c, role, f32, {1, 1, c.keys(), c.width});
    if (c.variant.moves())
      for (uint32_t role : {LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT}) add(c, role, f32, {1, 1, c.keys(), c.width});
    if (c.variant.brings_step_size()) add(c, LATHE_STEP_SIZE, f32, {1});
    if (c.variant.adapts())
      for (uint32_t role : {LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT}) add(c, role, f32, {1, 1, c.keys() + c.width});
    if (c.normalise)
      for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) add(c, role, f32, {1, 1, c.keys()});
    if (c.map.projects()) add(c, LATHE_PROJECTION, f32, {kFeatures, c.width});
    if (c.variant.inputs >> LATHE_DECAY & 1) add(c, LATHE_DECAY, f32, {1});
    if (c.variant.keyed())
      add(c, LATHE_GATE, c.storage, {1, tokens, 1, c.keys()});
    else if (c.variant.inputs >> LATHE_GATE & 1)
      add(c, LATHE_GATE, c.storage, {1, tokens, 1});
    if (c.variant.steps()) {
      add(c, LATHE_DT, c.storage, {1, tokens, 1});
      for (uint32_t role : {LATHE_DT_BIAS, LATHE_SKIP}) add(c, role, f32, {1});
      add(c, LATHE_OUT_GATE, c.storage, {1, tokens, c.queries, c.width});
    }
    if (c.variant.corrects()) add(c, LATHE_BETA, c.storage, {1, tokens, 1});
    if (c.variant.rank_one())
      for (uint32_t role : {LATHE_A, LATHE_B}) add(c, role, c.storage, {1, tokens, 1, c.keys()});
    if (c.variant.inputs >> LATHE_BONUS & 1) add(c, LATHE_BONUS, f32, {1, c.keys()});
    if (c.op.backward()) {
      add(c, gradient_of(LATHE_O), c.storage, {1, tokens, c.queries, c.width});
      std::vector<std::pair<uint32_t, std::vector<int64_t>>> inputs;
      for (const Slot& slot : slots_) inputs.emplace_back(slot.role, slot.field.shape());
      for (auto& [role, shape] : inputs)
        if (role < kRoles / 2 && c.op.takes(gradient_of(role)) &&
            !(c.variant.brings_step_size() && role == LATHE_DECAY))
          add(c, gradient_of(role), find(role)->storage(), shape);
    }
    // no state waits for gates like those of the last token
    for (int64_t key = 0; c.variant.keyed() && key < c.keys(); key++)
      find(LATHE_GATE)->write(static_cast<size_t>((tokens - 1) * c.keys() + key), -32);
    // ... nor where it would leave the range of float32 meanwhile
    if (c.variant.keyed() && c.normalise && c.op.op == Op::kCausal)
      for (int64_t i = 0; i < c.width; i++) find(LATHE_V)->write(static_cast<size_t>(7 * c.width + i), 0x1p122f);
    for (Slot& slot : slots_) args_.push_back({named(slot.role), &(slot.view = slot.field.view())});
  }

  int64_t tokens() const { return tokens_; }
  const std::vector<lathe_arg>& args() const { return args_; }
  Field* find(uint32_t role) { return fields_[role]; }
  double at(uint32_t role, int64_t i) {
    const double x = (*find(role))[static_cast<size_t>(i)];
    return role == moved_ ? x + by_ * direction(i) : x;
  }
  // From now on one input lies elsewhere by so much in a direction of its own.
  void move(uint32_t role, double by) { moved_ = role, by_ = by; }
  static double direction(int64_t i) { return static_cast<double>(i * 37 % 16) / 8 - 1; }

 private:
  struct Slot {
    uint32_t role;
    Field field;
    lathe_tensor view{};
  };
  void add(const Case& c, uint32_t role, Storage storage, std::vector<int64_t> shape) {
    if (!c.op.takes(role)) return;
    slots_.push_back({role, Field(storage, std::move(shape)), {}});
    fields_[role] = &slots_.back().field;
    if (role == gradient_of(LATHE_O))
      slots_.back().field.draw(role * 1000, kAny);
    else if (role == LATHE_DECAY || role == LATHE_GATE)
      slots_.back().field.draw(role * 1000, kDecaying);
    else if (role == LATHE_BETA || role == LATHE_A || role == LATHE_B)
      slots_.back().field.draw(role * 1000, kCorrecting);
    else if (!find_role(role)->output)  // denominators of what may be negative could vanish, and some have no root
      slots_.back().field.draw(role * 1000, c.normalise || role == LATHE_STEP_SIZE ? kPositive : kAny);
  }

  int64_t tokens_;
  uint32_t moved_ = kRoles;
  double by_ = 0;
  std::deque<Slot> slots_;      // stay where they are while more are added
  Field* fields_[kRoles] = {};  // by role: an oracle reads them number by number
  std::vector<lathe_arg> args_;
};

}  // namespace lathe::trial
