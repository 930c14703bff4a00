#include "self_test.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "formula.h"
#include "maps.h"
#include "operators.h"
#include "registry.h"
#include "status.h"
#include "tensor.h"
#include "variants.h"

namespace lathe {

namespace {

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
    add(c, LATHE_Q, c.storage, {1, tokens, kQueryHeads, c.width});
    if (c.mixed > 0) {
      add(c, LATHE_K, c.storage, {1, tokens, 1, c.mixed, c.width});
      add(c, LATHE_MIXTURE, f32, {1, c.mixed});
    } else {
      add(c, LATHE_K, c.storage, {1, tokens, 1, c.width});
    }
    add(c, LATHE_V, c.storage, {1, tokens, 1, c.width});
    add(c, LATHE_O, c.storage, {1, tokens, kQueryHeads, c.width});
    for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT}) add(c, role, f32, {1, 1, c.keys(), c.width});
    if (c.variant.moves()) {
      for (uint32_t role : {LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT}) add(c, role, f32, {1, 1, c.keys(), c.width});
      add(c, LATHE_STEP_SIZE, f32, {1});
    }
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
      add(c, LATHE_OUT_GATE, c.storage, {1, tokens, kQueryHeads, c.width});
    }
    if (c.variant.corrects()) add(c, LATHE_BETA, c.storage, {1, tokens, 1});
    if (c.variant.inputs >> LATHE_BONUS & 1) add(c, LATHE_BONUS, f32, {1, c.keys()});
    if (c.op.backward()) {
      add(c, gradient_of(LATHE_O), c.storage, {1, tokens, kQueryHeads, c.width});
      std::vector<std::pair<uint32_t, std::vector<int64_t>>> inputs;
      for (const Slot& slot : slots_) inputs.emplace_back(slot.role, slot.field.shape());
      for (auto& [role, shape] : inputs)
        if (role < kRoles / 2 && c.op.takes(gradient_of(role)) && !(c.variant.moves() && role == LATHE_DECAY))
          add(c, gradient_of(role), find(role)->storage(), shape);
    }
    for (Slot& slot : slots_) args_.push_back({named(slot.role), &(slot.view = slot.field.view())});
  }

  int64_t tokens() const { return tokens_; }
  const std::vector<lathe_arg>& args() const { return args_; }
  Field* find(uint32_t role) {
    for (Slot& slot : slots_)
      if (slot.role == role) return &slot.field;
    return nullptr;
  }
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
    if (role == gradient_of(LATHE_O))
      slots_.back().field.draw(role * 1000, kAny);
    else if (role == LATHE_DECAY || role == LATHE_GATE)
      slots_.back().field.draw(role * 1000, kDecaying);
    else if (role == LATHE_BETA)
      slots_.back().field.draw(role * 1000, kCorrecting);
    else if (!find_role(role)->output)  // denominators of what may be negative could vanish
      slots_.back().field.draw(role * 1000, c.normalise ? kPositive : kAny);
  }

  int64_t tokens_;
  uint32_t moved_ = kRoles;
  double by_ = 0;
  std::deque<Slot> slots_;  // stay where they are while more are added
  std::vector<lathe_arg> args_;
};

// What docs/operators.md says, token by token.
class Expected {
 public:
  Expected(const Case& c, Tensors& tensors) : c_(c), t_(tensors), keys_(c.keys()) {
    for (int64_t i = 0; i < keys_ * c_.width; i++) state.push_back(t_.at(LATHE_STATE_IN, i));
    for (int64_t i = 0; i < keys_ * c_.width && c.variant.moves(); i++) momentum.push_back(t_.at(LATHE_MOMENTUM_IN, i));
    for (int64_t i = 0; i < keys_ && c.normalise; i++) z.push_back(t_.at(LATHE_Z_IN, i));
    const bool in_order = c.op.takes(LATHE_DECAY);
    for (int64_t t = 0; t < t_.tokens(); t++) {
      if (c.reads(LATHE_K)) take_key(t);
      if (in_order) read(t);
    }
    for (int64_t t = 0; t < t_.tokens() && c.reads(LATHE_Q) && !in_order; t++) read(t);
  }

  std::vector<double> o, state, z, momentum;

 private:
  std::vector<double> read_state, read_z;  // what a query sees that reads before its token's update

  std::vector<double> phi(uint32_t role, int64_t row, int64_t position) {
    std::vector<double> x;
    for (int64_t d = 0; d < c_.width; d++) x.push_back(t_.at(role, row * c_.width + d));
    return phi_of(std::move(x), position);
  }

  // Of a token's keys, mixed.
  std::vector<double> phi_of_keys(int64_t t) {
    if (c_.mixed == 0) return phi(LATHE_K, t, t);
    std::vector<double> sum;
    for (int64_t key = 0; key < c_.mixed; key++) {
      std::vector<double> one;
      for (int64_t d = 0; d < c_.width; d++) one.push_back(t_.at(LATHE_K, (t * c_.mixed + key) * c_.width + d));
      if (!c_.mixes_first) one = phi_of(std::move(one), t);
      sum.resize(one.size());
      for (size_t i = 0; i < one.size(); i++) sum[i] += t_.at(LATHE_MIXTURE, key) * one[i];
    }
    return c_.mixes_first ? phi_of(std::move(sum), t) : sum;
  }

  std::vector<double> phi_of(std::vector<double> x, int64_t position) {
    Mapped token{std::move(x), {}, static_cast<double>(position), c_.attribute()};
    for (int64_t m = 0; m < c_.features(); m++) {
      double sum = 0;
      for (int64_t d = 0; d < c_.width; d++)
        sum += t_.at(LATHE_PROJECTION, m * c_.width + d) * token.x[static_cast<size_t>(d)];
      token.u.push_back(sum);
    }
    return apply_formula(c_.map.name, token);
  }

  double step(int64_t t) {
    return c_.variant.steps() ? std::log1p(std::exp(t_.at(LATHE_DT, t) + t_.at(LATHE_DT_BIAS, 0))) : 1;
  }
  double value(int64_t t, int64_t j) { return t_.at(LATHE_V, t * c_.width + j); }
  // SKIP and OUT_GATE.
  double finished(double sum, int64_t t, int64_t head, int64_t j) {
    if (!c_.variant.steps()) return sum;
    const double gate = t_.at(LATHE_OUT_GATE, (t * kQueryHeads + head) * c_.width + j);
    return (sum + t_.at(LATHE_SKIP, 0) * value(t, j)) * gate / (1 + std::exp(-gate));
  }

  double log_decay(int64_t t, int64_t key) {
    float g = 0, out;
    const auto dt = static_cast<float>(step(t));
    if (c_.variant.inputs >> LATHE_DECAY & 1) g = static_cast<float>(t_.at(LATHE_DECAY, 0));
    if (c_.variant.inputs >> LATHE_GATE & 1)
      g = static_cast<float>(t_.at(LATHE_GATE, c_.variant.keyed() ? t * keys_ + key : t));
    c_.variant.log_decays({{reinterpret_cast<const char*>(&g), 0, Storage::kF32},
                           {reinterpret_cast<const char*>(&dt), 0, Storage::kF32},
                           0,
                           1},
                          1, &out);
    return static_cast<double>(out);
  }

  // What the state takes in place of a token's value: of it, how much it differs from what the decayed state has.
  double taken(int64_t t, int64_t j, const std::vector<double>& k, const std::vector<double>& left) {
    if (!c_.variant.corrects()) return step(t) * value(t, j);
    double has = 0;
    for (size_t i = 0; i < k.size(); i++)
      has += k[i] * left[i] * read_state[i * static_cast<size_t>(c_.width) + static_cast<size_t>(j)];
    return t_.at(LATHE_BETA, t) * (value(t, j) - has);
  }

  void take_key(int64_t t) {
    const std::vector<double> k = phi_of_keys(t);
    const bool moves = c_.variant.moves();
    read_z = z;
    read_state = state;
    std::vector<double> values, added, left;
    for (size_t i = 0; i < k.size(); i++)
      left.push_back(i == 0 || c_.variant.keyed() ? std::exp(log_decay(t, static_cast<int64_t>(i))) : left[0]);
    for (int64_t j = 0; j < c_.width; j++) {
      values.push_back(value(t, j));
      added.push_back(taken(t, j, k, left));
    }
    for (size_t i = 0; i < k.size(); i++) {
      const double a = left[i];
      const double u = c_.variant.reads_before() ? t_.at(LATHE_BONUS, static_cast<int64_t>(i)) : 0;
      if (c_.normalise) read_z[i] += u * k[i];
      for (int64_t j = 0; j < c_.width; j++)
        read_state[i * static_cast<size_t>(c_.width) + static_cast<size_t>(j)] +=
            u * k[i] * values[static_cast<size_t>(j)];
      if (c_.normalise) z[i] = (moves ? 1 : a) * z[i] + k[i];
      for (int64_t j = 0; j < c_.width; j++) {
        double& s = state[i * static_cast<size_t>(c_.width) + static_cast<size_t>(j)];
        if (moves) {
          double& p = momentum[i * static_cast<size_t>(c_.width) + static_cast<size_t>(j)];
          p = a * p - t_.at(LATHE_STEP_SIZE, 0) * k[i] * values[static_cast<size_t>(j)];
          s -= p;
          continue;
        }
        s = a * s + k[i] * added[static_cast<size_t>(j)];
      }
    }
  }

  void read(int64_t t) {
    const bool before = c_.variant.reads_before();
    const std::vector<double>&seen = before ? read_state : state, &z_seen = before ? read_z : z;
    for (int64_t head = 0; head < kQueryHeads; head++) {
      const std::vector<double> q = phi(LATHE_Q, t * kQueryHeads + head, t);
      double below = 1;
      if (c_.normalise) {
        below = kEps;
        for (size_t i = 0; i < q.size(); i++) below += kScale * q[i] * z_seen[i];
      }
      for (size_t j = 0; j < static_cast<size_t>(c_.width); j++) {
        double sum = 0;
        for (size_t i = 0; i < q.size(); i++) sum += kScale * q[i] * seen[i * static_cast<size_t>(c_.width) + j];
        o.push_back(finished(sum / below, t, head, static_cast<int64_t>(j)));
      }
    }
  }

  const Case& c_;
  Tensors& t_;
  int64_t keys_;
};

// Far above what rounding does, far below what a wrong kernel does; of the largest number that is expected.
double tolerance(Storage storage) { return storage == Storage::kF32 ? 1e-4 : 1e-2; }

std::string compare(const char* name, const Field* got, const std::vector<double>& want, Storage storage) {
  if (!got) return "";
  double largest = 0;
  for (double w : want) largest = std::max(largest, std::abs(w));
  for (size_t i = 0; i < got->size(); i++)
    if (!(std::abs((*got)[i] - want[i]) <= tolerance(storage) * largest))
      return fmt::format("{}, element {} of {}: expected {:.6g}, got {:.6g}", name, i, got->size(), want[i], (*got)[i]);
  return "";
}

// What a step along a direction gives of the loss sum(dO * O), by O and by the gradient. A gradient that no direction
// of its input shows to be wrong is right.
std::string compare_gradients(const Case& c, Tensors& tensors) {
  constexpr double step = 1e-3;  // what the formula of a log decay reads is float32
  const auto loss = [&](uint32_t role, double by) {
    tensors.move(role, by);
    const std::vector<double> o = Expected(c, tensors).o;
    double sum = 0;
    for (size_t i = 0; i < o.size(); i++) sum += o[i] * tensors.at(gradient_of(LATHE_O), static_cast<int64_t>(i));
    return sum;
  };
  for (uint32_t role = 0; role < kRoles / 2; role++) {
    const Field* gradient = c.op.takes(gradient_of(role)) && find_role(gradient_of(role))->output
                                ? tensors.find(gradient_of(role))
                                : nullptr;
    if (!gradient) continue;
    double slope = 0, size = 0;
    for (size_t i = 0; i < gradient->size(); i++) {
      const double term = (*gradient)[i] * Tensors::direction(static_cast<int64_t>(i));
      slope += term;
      size += std::abs(term);
    }
    const double expected = (loss(role, step) - loss(role, -step)) / (2 * step);
    // log decays that are made of steps round them to float32, which a slope magnifies
    const double allowed = (c.variant.steps() ? 10 : 1) * tolerance(c.storage);
    if (!(std::abs(slope - expected) <= allowed * size))
      return fmt::format("{}, along a direction: expected {:.6g}, got {:.6g}", find_role(gradient_of(role))->name,
                         expected, slope);
  }
  return "";
}

// The way that every caller goes.
class Call {
 public:
  Call() {
    lathe_config config{};
    config.size = sizeof config;
    config.threads = 1;
    expect(lathe_context_create(&config, &context_));
  }
  ~Call() {
    lathe_plan_destroy(plan_);
    lathe_context_destroy(context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void make(const lathe_desc& desc, const std::vector<lathe_arg>& args) {
    expect(lathe_plan_create(context_, &desc, args.data(), args.size(), &plan_));
    size_t bytes = 0;
    expect(lathe_plan_workspace(plan_, args.data(), args.size(), &bytes));
    // NaN all over: what a kernel should have written there and did not is seen
    std::vector<unsigned char> memory(bytes + 64, 0xff);
    lathe_exec exec{};
    exec.size = sizeof exec;
    exec.workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    exec.workspace_bytes = bytes;
    expect(lathe_run(context_, plan_, args.data(), args.size(), &exec));
  }

 private:
  void expect(lathe_status status) const {
    if (status != LATHE_OK) fail(status, "self-test: {}", lathe_last_error(context_));
  }

  lathe_context* context_ = nullptr;
  lathe_plan* plan_ = nullptr;
};

std::string fault_of(const Case& c, int64_t tokens) {
  Tensors tensors(c, tokens);
  const lathe_attr attribute{c.map.attribute, kAttribute};
  lathe_desc desc{};
  desc.size = sizeof desc;
  desc.op = c.op.name;
  desc.variant = c.variant.name;
  desc.map = c.map.name;
  desc.scale = static_cast<float>(kScale);
  desc.eps = static_cast<float>(kEps);
  desc.flags = (c.normalise ? LATHE_NORMALISE : 0) | (c.variant.steps() ? LATHE_SOFTPLUS : 0) |
               (c.mixes_first ? LATHE_MIX_FIRST : 0);
  desc.attrs = &attribute;
  desc.n_attrs = std::isnan(c.map.fallback(c.width)) ? 1 : 0;
  Call().make(desc, tensors.args());
  if (c.op.backward()) return compare_gradients(c, tensors);
  const Expected expected(c, tensors);
  std::string fault = compare("O", tensors.find(LATHE_O), expected.o, c.storage);
  if (fault.empty()) fault = compare("STATE_OUT", tensors.find(LATHE_STATE_OUT), expected.state, Storage::kF32);
  if (fault.empty())
    fault = compare("MOMENTUM_OUT", tensors.find(LATHE_MOMENTUM_OUT), expected.momentum, Storage::kF32);
  if (fault.empty()) fault = compare("Z_OUT", tensors.find(LATHE_Z_OUT), expected.z, Storage::kF32);
  return fault;
}

// Every operator in every form with one map, then every other map, then every type, with each map that reads it itself;
// less what was cut out of this library.
std::vector<Case> cases(const char* row) {
  std::vector<Case> all;
  std::vector<const FeatureMap*> maps;
  for (const FeatureMap& map : feature_maps())
    if (find_kernel(row, "map", map.name)) maps.push_back(&map);
  const FeatureMap& plainest = *maps.front();
  for (const Operator& op : operators())
    for (const Variant& variant : variants())
      for (bool normalise : {false, true})
        if (op.built() && (!variant.directed() || op.takes(LATHE_DECAY)) && (!normalise || variant.has_normaliser()))
          all.push_back({op, plainest, variant, Storage::kF32, normalise});
  const Operator& first = all.front().op;
  const Variant& plain = all.front().variant;
  for (const Operator& op : operators())
    for (bool mixes_first : {false, true})
      if (op.built() && op.takes(LATHE_MIXTURE))
        all.push_back({op, *maps.back(), plain, Storage::kF32, false, kWidth, 2, mixes_first});
  for (size_t i = 1; i < maps.size(); i++) {
    all.push_back({first, *maps[i], plain});
    for (const Operator& op : operators())
      if (op.built() && op.backward() && &op != &first) {
        all.push_back({op, *maps[i], plain});
        break;
      }
  }
  for (Storage storage : {Storage::kF16, Storage::kBF16})
    if (find_kernel(row, "widen", name_of(storage))) {
      all.push_back({first, plainest, plain, storage});
      for (const FeatureMap* map : maps)
        if (map_from(row, *map, storage)) all.push_back({first, *map, plain, storage, false, kWholeWidth});
    }
  return all;
}

int64_t chunk_of(std::string_view row) {
  for (const Entry& e : registry())
    if (row == e.row) return e.chunk;
  return 1;
}

}  // namespace

SelfTest self_test() {
  SelfTest test{choose_row().row, {}};
  for (const Case& c : cases(test.row)) {
    // a whole chunk and some: decode walks tokens one by one, and two show that the state goes on
    const int64_t tokens = c.op.op == Op::kDecode ? 2 : chunk_of(test.row) + 3;
    test.checks.push_back(
        {c.op.name, c.variant.name, c.map.name, name_of(c.storage), c.normalise, fault_of(c, tokens)});
  }
  return test;
}

std::string to_json(const SelfTest& test) {
  std::string checks;
  for (const Check& c : test.checks)
    checks += fmt::format(
        "{}{{\"op\": \"{}\", \"variant\": \"{}\", \"map\": \"{}\", \"dtype\": \"{}\", \"normalise\": {}, \"fault\": "
        "{}}}",
        checks.empty() ? "" : ", ", c.op, c.variant, c.map, c.dtype, c.normalise,
        c.fault.empty() ? "null" : '"' + c.fault + '"');
  return fmt::format("{{\"target\": \"{}\", \"checks\": [{}]}}", test.row, checks);
}

}  // namespace lathe
