#include "self_test.h"

#include <algorithm>
#include <cmath>

#include "../generators/stretch.h"
#include "formula.h"
#include "registry.h"
#include "status.h"
#include "trial.h"

namespace lathe {

namespace {

using namespace trial;

// What docs/operators.md says, token by token.
class Expected {
 public:
  Expected(const Case& c, Tensors& tensors) : c_(c), t_(tensors), keys_(c.keys()) {
    for (int64_t i = 0; i < keys_ * c_.width; i++) state.push_back(t_.at(LATHE_STATE_IN, i));
    for (int64_t i = 0; i < keys_ * c_.width && c.variant.moves(); i++) momentum.push_back(t_.at(LATHE_MOMENTUM_IN, i));
    for (int64_t i = 0; i < keys_ + c.width && c.variant.adapts(); i++) last.push_back(t_.at(LATHE_LAST_TOKEN_IN, i));
    for (int64_t i = 0; i < keys_ && c.normalise; i++) z.push_back(t_.at(LATHE_Z_IN, i));
    const bool in_order = c.op.takes(LATHE_DECAY);
    for (int64_t t = 0; t < t_.tokens(); t++) {
      if (c.reads(LATHE_K)) take_key(t);
      if (in_order) read(t);
    }
    for (int64_t t = 0; t < t_.tokens() && c.reads(LATHE_Q) && !in_order; t++) read(t);
  }

  std::vector<double> o, state, z, momentum, last;

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
    if (c_.variant.steps()) return std::log1p(std::exp(t_.at(LATHE_DT, t) + t_.at(LATHE_DT_BIAS, 0)));
    double sum = 1;
    for (int64_t later = t + 1; later < t_.tokens() && c_.variant.foresees(); later++)
      sum = 1 + std::exp(t_.at(LATHE_DECAY, 0)) * sum;
    return c_.variant.foresees() ? t_.at(LATHE_STEP_SIZE, 0) * sum : 1;
  }
  double value(int64_t t, int64_t j) { return t_.at(LATHE_V, t * c_.width + j); }
  // SKIP and OUT_GATE.
  double finished(double sum, int64_t t, int64_t head, int64_t j) {
    if (!c_.variant.steps()) return sum;
    const double gate = t_.at(LATHE_OUT_GATE, (t * c_.queries + head) * c_.width + j);
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

  // Of the state before a token by its A.
  double read_before(int64_t t, int64_t j) {
    double sum = 0;
    for (int64_t i = 0; i < keys_; i++)
      sum += t_.at(LATHE_A, t * keys_ + i) * read_state[static_cast<size_t>(i * c_.width + j)];
    return sum;
  }

  // How much of its momentum a token leaves that says so itself. The momentum that comes is not zero.
  double adapted(const std::vector<double>& k, const std::vector<double>& values) const {
    const auto apart = [&](size_t i, size_t j) { return k[i] * values[j] - last[i] * last[k.size() + j]; };
    double distance = 0, length = 0;
    for (size_t i = 0; i < k.size(); i++)
      for (size_t j = 0; j < values.size(); j++) distance += apart(i, j) * apart(i, j);
    for (double p : momentum) length += p * p;
    const double root = 1 - std::sqrt(t_.at(LATHE_STEP_SIZE, 0) * std::sqrt(distance / length));
    return std::min(root * root, 1 - 1e-4);
  }

  void take_key(int64_t t) {
    const std::vector<double> k = phi_of_keys(t);
    const bool moves = c_.variant.moves();
    read_z = z;
    read_state = state;
    std::vector<double> values, added, left;
    for (size_t i = 0; i < k.size() && c_.variant.foresees(); i++) left.push_back(1);
    for (size_t i = left.size(); i < k.size(); i++)
      left.push_back(i == 0 || c_.variant.keyed() ? std::exp(log_decay(t, static_cast<int64_t>(i))) : left[0]);
    for (int64_t j = 0; j < c_.width; j++) {
      values.push_back(value(t, j));
      added.push_back(taken(t, j, k, left));
    }
    if (c_.variant.adapts()) {
      left.assign(left.size(), adapted(k, values));
      last = k;
      last.insert(last.end(), values.begin(), values.end());
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
        if (c_.variant.rank_one()) s += t_.at(LATHE_B, t * keys_ + static_cast<int64_t>(i)) * read_before(t, j);
      }
    }
  }

  void read(int64_t t) {
    const bool before = c_.variant.reads_before();
    const std::vector<double>&seen = before ? read_state : state, &z_seen = before ? read_z : z;
    for (int64_t head = 0; head < c_.queries; head++) {
      const std::vector<double> q = phi(LATHE_Q, t * c_.queries + head, t);
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
      return written("{}, element {} of {}: expected {:.6g}, got {:.6g}", name, i, got->size(), want[i], (*got)[i]);
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
      return written("{}, along a direction: expected {:.6g}, got {:.6g}", find_role(gradient_of(role))->name, expected,
                     slope);
  }
  return "";
}

// The way that every caller goes.
class Call {
 public:
  explicit Call(int threads) {
    lathe_config config{};
    config.size = sizeof config;
    config.threads = threads;
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
  Call(c.threads).make(desc, tensors.args());
  if (c.op.backward()) return compare_gradients(c, tensors);
  const Expected expected(c, tensors);
  std::string fault = compare("O", tensors.find(LATHE_O), expected.o, c.storage);
  if (fault.empty()) fault = compare("STATE_OUT", tensors.find(LATHE_STATE_OUT), expected.state, Storage::kF32);
  if (fault.empty())
    fault = compare("MOMENTUM_OUT", tensors.find(LATHE_MOMENTUM_OUT), expected.momentum, Storage::kF32);
  if (fault.empty())
    fault = compare("LAST_TOKEN_OUT", tensors.find(LATHE_LAST_TOKEN_OUT), expected.last, Storage::kF32);
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
        if (op.built() && (!variant.directed() || op.takes(LATHE_DECAY)) &&
            (op.op != Op::kDecode || variant.recurs()) && (!op.backward() || variant.has_gradient()) &&
            (!normalise || variant.has_normaliser()))
          all.push_back({op, plainest, variant, Storage::kF32, normalise});
  const Operator& first = all.front().op;
  const Variant& plain = all.front().variant;
  // queries that share no state; and a head on several threads, whose states are carried without outputs
  for (const Variant& variant : variants())
    for (bool normalise : {false, true})
      if (first.op == Op::kCausal && (!normalise || variant.has_normaliser()))
        all.push_back({first, plainest, variant, Storage::kF32, normalise, kWidth, 0, false, 1});
  if (first.op == Op::kCausal) all.push_back({first, plainest, plain, Storage::kF32, true, kWidth, 0, false, 1, 2});
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

SelfTest self_test(bool all) {
  SelfTest test{choose_row().row, {}};
  for (const Case& c : cases(test.row)) {
    // a whole chunk and some: decode walks tokens one by one, and two show that the state goes on
    const int64_t chunk = chunk_of(test.row), stretch = std::max<int64_t>(chunk, kStretch);
    const int64_t together = c.threads > 1 ? 8 * stretch : c.variant.keyed() || c.queries == 1 ? stretch : chunk;
    const int64_t tokens = c.op.op == Op::kDecode ? 2 : together + 3;
    test.checks.push_back(
        {c.op.name, c.variant.name, c.map.name, name_of(c.storage), c.normalise, fault_of(c, tokens)});
    if (!all && !test.checks.back().fault.empty()) break;
  }
  return test;
}

std::string to_json(const SelfTest& test) {
  std::string checks;
  for (const Check& c : test.checks)
    checks += written(
        "{}{{\"op\": \"{}\", \"variant\": \"{}\", \"map\": \"{}\", \"dtype\": \"{}\", \"normalise\": {}, \"fault\": "
        "{}}}",
        checks.empty() ? "" : ", ", c.op, c.variant, c.map, c.dtype, c.normalise,
        c.fault.empty() ? "null" : '"' + c.fault + '"');
  return written("{{\"target\": \"{}\", \"checks\": [{}]}}", test.row, checks);
}

}  // namespace lathe
