#include "inputs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <random>

#include "reference/maps.h"

namespace support {
namespace {

using Draw = std::function<double()>;

void fill(std::vector<double>& values, int64_t n, const Draw& draw) {
  values.clear();
  for (int64_t i = 0; i < n; ++i) values.push_back(draw());
}

// The delta rule has no normaliser, and asks for none.
void settle(Problem& p) {
  if (!reference::has_normaliser(p.variant)) p.normalise = p.denom_max = false;
}

void fill_all(Problem& p, const Draw& feature, const Draw& value, const Draw& state, bool states) {
  fill(p.q, p.B * p.queries() * p.HQ * p.D, feature);
  fill(p.k, p.B * p.T * p.HK * p.key_width(), feature);
  fill(p.v, p.B * p.T * p.HV * p.V, value);
  if (!states) return;
  const int64_t K = reference::map_width(p);
  fill(p.state, p.rows() * p.state_heads() * K * p.V, state);
  fill(p.z, p.rows() * p.HK * K, [&] { return std::abs(state()); });
  if (reference::variants().at(p.variant).takes_momentum) fill(p.momentum, p.rows() * p.state_heads() * K * p.V, state);
  if (reference::variants().at(p.variant).adapts) fill(p.last, p.rows() * p.state_heads() * (K + p.V), state);
}

}  // namespace

Problem two_heads(const std::string& variant, int64_t T) {
  Problem p;
  p.variant = variant;
  p.T = T;
  p.HQ = p.HK = p.HV = 2;
  p.D = 24;
  p.V = 20;
  return p;
}

Problem normalised(const std::string& op, int64_t B, int64_t T, int64_t D, int64_t V) {
  Problem p;
  p.map = "elu1";
  p.B = B;
  p.HQ = p.HK = p.HV = 2;
  p.T = op == "decode" ? 3 : T;
  p.D = D;
  p.V = V;
  p.normalise = true;
  p.eps = 1e-6;
  return p;
}

// How far tokens go towards their values, so that no state grows: what it is multiplied by, I - beta k k^T, turns it
// round at most.
void fill_betas(Problem& p, Type type, const Draw& uniform) {
  p.beta.clear();
  for (int64_t token = 0; token < p.B * p.T; ++token)
    for (int64_t h = 0; h < p.state_heads(); ++h) {
      const int64_t kh = reference::shared_head(p, h, p.state_heads(), p.HK);
      const reference::Feature k = reference::map_key(p, kh, token, &p.k[(token * p.HK + kh) * p.key_width()], {});
      double square = 0;
      for (const double y : k.value) square += y * y;
      const double largest = p.reflects ? 2 : 1, most = p.unit_keys ? largest : std::min(largest, 2 / square);
      const double beta = uniform() * most;
      p.beta.push_back(rounded(type, p.sigmoid ? std::log(beta / (largest - beta)) : beta));
    }
}

// As RWKV-7 makes them: a direction, and nearly the same part of each of its keys taken away along it.
void fill_rows(Problem& p, Type type, const Draw& uniform, const Draw& normal) {
  const int64_t K = reference::map_width(p);
  p.a.clear(), p.b.clear();
  for (int64_t row = 0; row < p.B * p.T * p.state_heads(); ++row) {
    std::vector<double> direction;
    fill(direction, K, normal);
    const double length = reference::norm(direction), rate = uniform();
    for (const double x : direction) {
      p.a.push_back(rounded(type, -x / length));
      p.b.push_back(rounded(type, rate * (0.9 + 0.1 * uniform()) * x / length));
    }
  }
}

Problem reals(Problem p, Type type, uint64_t seed, bool states) {
  settle(p);
  std::mt19937_64 bits(seed);
  const Draw uniform = [&] { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; };
  const Draw normal = [&] {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  };
  if (p.M > 0) fill(p.projection, p.M * p.D, [&] { return rounded(Type::F32, normal()); });
  const reference::Variant& variant = reference::variants().at(p.variant);
  if (variant.takes_decay) fill(p.decay, p.state_heads(), [&] { return rounded(Type::F32, -0.5 * uniform()); });
  if (variant.takes_momentum || variant.knows_length)
    fill(p.step_size, p.state_heads(), [&] { return rounded(Type::F32, variant.adapts ? uniform() : normal()); });
  // mostly mild, here and there strong, now and then a reset
  if (const int64_t width = reference::gate_width(p); width > 0)
    fill(p.gate, p.B * p.T * p.state_heads() * width, [&] {
      const double kind = uniform();
      return kind < 0.02 ? -INFINITY : rounded(type, -(kind < 0.1 ? 40 : 0.5) * uniform());
    });
  if (variant.takes_bonus)
    fill(p.bonus, p.state_heads() * reference::map_width(p), [&] { return rounded(Type::F32, 2 * uniform()); });
  if (variant.takes_steps) {
    // half of all problems make steps of any number
    p.softplus = seed % 2 == 0;
    const Draw step = [&] { return p.softplus ? 2 * normal() - 1 : uniform(); };
    fill(p.dt, p.B * p.T * p.state_heads(), [&] { return rounded(type, step()); });
    fill(p.dt_bias, p.state_heads(), [&] { return rounded(Type::F32, step()); });
    fill(p.skip, p.state_heads(), [&] { return rounded(Type::F32, normal()); });
    fill(p.out_gate, p.B * p.T * p.out_heads() * p.V, [&] { return rounded(type, normal()); });
  }
  if (p.keys > 1) fill(p.mixture, p.HK * p.keys, [&] { return rounded(Type::F32, uniform()); });
  const bool positive = p.normalise && reference::maps().at(p.map).negative;
  const Draw value = [&] { return rounded(type, normal()); };
  fill_all(
      p, positive ? [&] { return std::abs(value()); } : value, value, [&] { return rounded(Type::F32, normal()); },
      states);
  if (variant.takes_beta) fill_betas(p, type, uniform);
  if (variant.takes_rows) fill_rows(p, type, uniform, normal);
  if (p.stabilise && states) fill(p.stabiliser, p.rows() * p.HK, [&] { return rounded(Type::F32, normal()); });
  return p;
}

namespace {

template <typename Draw>
reference::Given given(const Problem& p, bool states, Draw draw) {
  const auto fill = [&](int64_t n, auto one) {
    std::vector<double> values;
    for (int64_t i = 0; i < n; ++i) values.push_back(one());
    return values;
  };
  reference::Given g;
  g.o = fill(p.B * p.queries() * p.out_heads() * p.V, draw);
  if (!states) return g;
  g.state = fill(p.rows() * p.state_heads() * reference::map_width(p) * p.V, draw);
  if (reference::variants().at(p.variant).takes_momentum) g.momentum = fill(static_cast<int64_t>(g.state.size()), draw);
  if (p.normalise) g.z = fill(p.rows() * p.HK * reference::map_width(p), draw);
  return g;
}

}  // namespace

reference::Given given_reals(const Problem& p, Type type, uint64_t seed, bool states) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  return given(p, states, [&] { return rounded(type, normal(bits)); });
}

reference::Given given_integers(const Problem& p, int64_t magnitude, uint64_t seed, bool states) {
  std::mt19937_64 bits(seed);
  std::uniform_int_distribution<int64_t> uniform(-magnitude, magnitude);
  return given(p, states, [&] { return static_cast<double>(uniform(bits)); });
}

Problem integers(Problem p, int64_t magnitude, uint64_t seed, bool states) {
  settle(p);
  std::mt19937_64 bits(seed);
  const Draw draw = [&] {
    return static_cast<double>(static_cast<int64_t>(bits() % static_cast<uint64_t>(2 * magnitude + 1)) - magnitude);
  };
  fill_all(p, draw, draw, draw, states);
  const reference::Variant& variant = reference::variants().at(p.variant);
  if (variant.takes_decay) p.decay.assign(static_cast<size_t>(p.state_heads()), 0);
  if (variant.takes_momentum || variant.knows_length) {
    if (variant.takes_decay) fill(p.decay, p.state_heads(), [&] { return bits() % 2 == 0 ? -INFINITY : 0.0; });
    fill(p.step_size, p.state_heads(), draw);
  }
  // tokens by turns are nothing: such a one takes all of the momentum that the one before it began
  if (variant.adapts) {
    p.step_size.assign(p.step_size.size(), 1);
    p.momentum.assign(p.momentum.size(), 0);
    const auto width = static_cast<size_t>(p.HK * p.key_width());
    for (size_t i = 0; i < p.k.size(); ++i)
      if (i / width % 2 == 1) p.k[i] = 0;
  }
  // nothing or everything is left
  if (const int64_t width = reference::gate_width(p); width > 0)
    fill(p.gate, p.B * p.T * p.state_heads() * width, [&] { return bits() % 8 == 0 ? -INFINITY : 0.0; });
  if (variant.takes_bonus) fill(p.bonus, p.state_heads() * reference::map_width(p), draw);
  if (p.keys > 1) fill(p.mixture, p.HK * p.keys, draw);
  // keys of one number or two, of few: what the state is multiplied by only permutes it and changes signs
  if (variant.takes_beta) {
    fill(p.beta, p.B * p.T * p.state_heads(), [&] { return static_cast<double>(bits() % 4 != 0); });
    std::fill(p.k.begin(), p.k.end(), 0);
    for (auto row = p.k.begin(); row < p.k.end(); row += p.D)
      for (int n = 0; n < 2; ++n)
        row[static_cast<std::ptrdiff_t>(bits() % 5 % static_cast<uint64_t>(p.D))] = bits() % 2 == 0 ? 1 : -1;
  }
  // a row of the state is taken away, or goes to another one, with another sign
  if (variant.takes_rows) {
    const auto K = static_cast<size_t>(reference::map_width(p)),
               rows = static_cast<size_t>(p.B * p.T * p.state_heads());
    p.a.assign(rows * K, 0);
    p.b = p.a;
    for (size_t first = 0; first < rows * K; first += K) {
      const size_t from = first + bits() % K;
      p.a[from] = -1;
      p.b[from] = 1;
      p.b[first + bits() % K] = static_cast<double>(bits() % 2);
    }
  }
  // no out_gate: silu is never exact
  if (variant.takes_steps) {
    fill(p.dt, p.B * p.T * p.state_heads(), [&] { return static_cast<double>(bits() % 2); });
    fill(p.dt_bias, p.state_heads(), [&] { return static_cast<double>(bits() % 2); });
    fill(p.skip, p.state_heads(), draw);
  }
  return p;
}

double legal(const Problem& p, std::vector<double> Problem::*part, double x) {
  if (part == &Problem::gate) return -std::abs(x);
  if (part == &Problem::beta && !std::isnan(x)) return x > 0 ? 1 : 0;
  return part == &Problem::dt && !p.softplus ? std::abs(x) : x;
}

Problem with_map(Problem p, const std::string& map) {
  p.map = map;
  const reference::Trial& trial = reference::maps().at(map).trial;
  if (trial.D == 0) return p;
  p.D = trial.D;
  p.M = trial.M;
  p.attrs = trial.attrs;
  p.denom_max = p.normalise && trial.denom_max;
  return p;
}

namespace {

// Numbers per token.
int64_t width_of(const std::vector<double>& all, int64_t B, int64_t T) {
  return B * T == 0 ? 0 : static_cast<int64_t>(all.size()) / (B * T);
}

}  // namespace

std::vector<double> rows_between(const std::vector<double>& all, int64_t B, int64_t T, int64_t first, int64_t count) {
  std::vector<double> some;
  const int64_t width = width_of(all, B, T);
  for (int64_t b = 0; b < B; ++b) {
    const auto begin = all.begin() + (b * T + first) * width;
    some.insert(some.end(), begin, begin + count * width);
  }
  return some;
}

void put_rows(std::vector<double>& all, const std::vector<double>& some, int64_t B, int64_t T, int64_t first,
              int64_t count) {
  const int64_t width = width_of(all, B, T);
  for (int64_t b = 0; b < B; ++b)
    std::copy(some.begin() + b * count * width, some.begin() + (b + 1) * count * width,
              all.begin() + (b * T + first) * width);
}

Problem tokens_of(const Problem& whole, int64_t first, int64_t count, const reference::Answer* before) {
  Problem p = whole;
  p.T = count;
  for (const auto part : reference::rows_of_tokens()) p.*part = rows_between(whole.*part, p.B, whole.T, first, count);
  if (p.map == "cosformer") {
    p.position.assign(static_cast<size_t>(p.B), first);
    for (size_t n = 0; n < whole.position.size(); ++n) p.position[n] += whole.position[n];
  }
  if (before == nullptr) return p;
  p.state = before->state;
  p.stabiliser = before->stabiliser;
  p.momentum = before->momentum;
  p.last = before->last;
  if (p.normalise) p.z = before->z;
  return p;
}

}  // namespace support
