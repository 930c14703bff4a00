// Every feature map of MATH B0 on one token.
#include "maps.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <string_view>

namespace reference {
namespace {

struct Projected {
  std::vector<double> value, size;
};

double attribute(const Problem& p, std::string_view name, double otherwise) {
  const auto found = p.attrs.find(name);
  return found == p.attrs.end() ? otherwise : found->second;
}

// NaN must stay NaN, which max(x, 0) does not promise.
double positive_part(double x) { return x < 0 ? 0.0 : x; }

// W (factor x): per-head projections are told from a shared one by their number of entries.
Projected project(const Token& t, double factor) {
  const Problem& p = t.p;
  const bool per_head = static_cast<int64_t>(p.projection.size()) == p.HQ * p.M * p.D && p.HQ > 1;
  const double* w = p.projection.data() + (per_head ? t.head * p.M * p.D : 0);
  Projected out{std::vector<double>(p.M), std::vector<double>(p.M)};
  for (int64_t m = 0; m < p.M; ++m)
    for (int64_t d = 0; d < p.D; ++d) {
      const double term = w[m * p.D + d] * (factor * t.x[d]);
      out.value[m] += term;
      out.size[m] += std::abs(term);
    }
  return out;
}

double square_norm(const Token& t) {
  double sum = 0;
  for (int64_t d = 0; d < t.p.D; ++d) sum += t.x[d] * t.x[d];
  return sum;
}

template <typename F>
Feature pointwise(const Token& t, F f) {
  Feature out{std::vector<double>(t.x, t.x + t.p.D), std::vector<double>(static_cast<size_t>(t.p.D))};
  for (size_t d = 0; d < out.size.size(); ++d) out.size[d] = std::abs(out.value[d] = f(out.value[d]));
  return out;
}

void push(Feature& f, double value, double size) {
  f.value.push_back(value);
  f.size.push_back(size);
}

// An exponential turns the absolute error of its argument into a relative one of its own.
void push_exp(Feature& f, double factor, double argument, double argument_size, double added = 0) {
  const double e = factor * std::exp(argument);
  push(f, e + factor * added, e * (1 + argument_size) + factor * added);
}

Feature identity(const Token& t) {
  return pointwise(t, [](double x) { return x; });
}
Feature relu(const Token& t) { return pointwise(t, positive_part); }
Feature relu2(const Token& t) {
  return pointwise(t, [](double x) { return positive_part(x) * positive_part(x); });
}
Feature elu1(const Token& t) {
  return pointwise(t, [](double x) { return x > 0 ? x + 1 : std::exp(x); });
}
Feature exponential(const Token& t) {
  return pointwise(t, [](double x) { return std::exp(x); });
}
Feature silu(const Token& t) {
  return pointwise(t, [](double x) { return x / (1 + std::exp(-x)); });
}

// a_i = pi i / (2 max_length) with i counted from 1, so that token 0 of a sequence that starts at 0 has i = 1.
Feature cosformer(const Token& t) {
  const double angle =
      std::numbers::pi * static_cast<double>(t.position + 1) / (2 * attribute(t.p, "max_length", std::nan("")));
  Feature out;
  for (const double turn : {std::sin(angle), std::cos(angle)})
    for (int64_t d = 0; d < t.p.D; ++d) push(out, positive_part(t.x[d]) * turn, positive_part(t.x[d]));
  return out;
}

double tau_of(const Problem& p) { return attribute(p, "tau", 1 / std::sqrt(static_cast<double>(p.D))); }

Feature favor(const Token& t) {
  const double tau = tau_of(t.p);
  const Projected u = project(t, std::sqrt(tau));
  const double offset = tau * square_norm(t) / 2 + std::log(2.0 * static_cast<double>(t.p.M)) / 2;
  Feature out;
  for (const double sign : {1.0, -1.0})
    for (int64_t m = 0; m < t.p.M; ++m) push_exp(out, 1, sign * u.value[m] - offset, u.size[m] + offset);
  return out;
}

Feature favor_performer(const Token& t) {
  const double d = static_cast<double>(t.p.D), half_square = square_norm(t) / (2 * std::sqrt(d));
  const Projected u = project(t, std::pow(d, -0.25));
  Feature out;
  for (int64_t m = 0; m < t.p.M; ++m)
    push_exp(out, 1 / std::sqrt(static_cast<double>(t.p.M)), u.value[m] - half_square - t.subtract.value,
             u.size[m] + half_square + t.subtract.size, 1e-4);
  return out;
}

Feature rff(const Token& t) {
  const double factor = std::sqrt(1 / static_cast<double>(t.p.M));
  const Projected u = project(t, std::sqrt(tau_of(t.p)));
  Feature out;
  for (int64_t m = 0; m < t.p.M; ++m) push(out, factor * std::cos(u.value[m]), factor * (1 + u.size[m]));
  for (int64_t m = 0; m < t.p.M; ++m) push(out, factor * std::sin(u.value[m]), factor * (1 + u.size[m]));
  return out;
}

Feature dpfp(const Token& t) {
  const int64_t n = 2 * t.p.D, nu = static_cast<int64_t>(attribute(t.p, "nu", 1));
  std::vector<double> r;
  for (const double sign : {1.0, -1.0})
    for (int64_t d = 0; d < t.p.D; ++d) r.push_back(positive_part(sign * t.x[d]));
  Feature out;
  double sum = 0;
  for (int64_t j = 1; j <= nu; ++j)
    for (int64_t i = 0; i < n; ++i) {
      out.value.push_back(r[i] * r[(i - j % n + n) % n]);
      sum += out.value.back();
    }
  for (double& y : out.value) y /= sum;
  out.size = out.value;
  return out;
}

// Order: the constant, the linear terms, the squares, then the products with i < j row by row.
Feature taylor2(const Token& t) {
  const double d = static_cast<double>(t.p.D);
  Feature out;
  push(out, 1, 1);
  for (int64_t i = 0; i < t.p.D; ++i) out.value.push_back(t.x[i] / std::pow(d, 0.25));
  for (int64_t i = 0; i < t.p.D; ++i) out.value.push_back(t.x[i] * t.x[i] / std::sqrt(2 * d));
  for (int64_t i = 0; i < t.p.D; ++i)
    for (int64_t j = i + 1; j < t.p.D; ++j) out.value.push_back(t.x[i] * t.x[j] / std::sqrt(d));
  for (size_t i = out.size.size(); i < out.value.size(); ++i) out.size.push_back(std::abs(out.value[i]));
  return out;
}

Feature hedgehog(const Token& t) {
  const Projected u = project(t, 2);
  double largest = 0, size = 0, sum = 0;
  for (const double y : u.value) largest = std::abs(y) > largest ? std::abs(y) : largest;
  for (const double y : u.size) size = y > size ? y : size;
  Feature out;
  for (const double sign : {1.0, -1.0})
    for (const double y : u.value) {
      out.value.push_back(std::exp(sign * y - largest));
      sum += out.value.back();
    }
  for (double& y : out.value) {
    y /= sum;
    out.size.push_back(y * (1 + 2 * size));
  }
  return out;
}

int64_t same(const Problem& p) { return p.D; }
int64_t twice(const Problem& p) { return 2 * p.D; }
int64_t rows(const Problem& p) { return p.M; }
int64_t both_signs(const Problem& p) { return 2 * p.M; }
int64_t dpfp_width(const Problem& p) { return 2 * p.D * static_cast<int64_t>(attribute(p, "nu", 1)); }
int64_t taylor2_width(const Problem& p) { return 1 + p.D + p.D * (p.D + 1) / 2; }

}  // namespace

std::map<std::string, Map>& maps() {
  static std::map<std::string, Map> table = {
      {"identity", {.width = same, .apply = identity, .negative = true, .pointwise = true}},
      {"relu", {.width = same, .apply = relu, .pointwise = true}},
      {"relu2", {.width = same, .apply = relu2, .pointwise = true}},
      {"elu1", {.width = same, .apply = elu1, .pointwise = true}},
      {"exp", {.width = same, .apply = exponential, .pointwise = true, .exponential = true}},
      {"silu", {.width = same, .apply = silu, .negative = true, .pointwise = true}},
      {"cosformer", {twice, cosformer, {.D = 16, .attrs = {{"max_length", 700}}, .denom_max = true}}},
      {"favor", {.width = both_signs, .apply = favor, .trial = {.D = 16, .M = 20}, .exponential = true}},
      {"favor_performer", {.width = rows, .apply = favor_performer, .trial = {.D = 16, .M = 36}, .exponential = true}},
      {"rff", {both_signs, rff, {.D = 16, .M = 20, .attrs = {{"tau", 0.5}}}, true}},
      {"dpfp", {dpfp_width, dpfp, {.D = 10, .attrs = {{"nu", 2}}}}},
      {"taylor2", {taylor2_width, taylor2, {.D = 8}}},
      {"hedgehog", {.width = both_signs, .apply = hedgehog, .trial = {.D = 16, .M = 16}, .exponential = true}},
  };
  return table;
}

std::vector<std::string> map_names() {
  std::vector<std::string> names;
  for (const auto& [name, map] : maps()) names.push_back(name);
  return names;
}

int64_t map_width(const Problem& p) { return maps().at(p.map).width(p); }

// The Performer's maximum is over the projections alone, without the square norm beside them.
Maximum largest_projection(const Problem& p, int64_t head, const double* x) {
  Maximum largest{-std::numeric_limits<double>::infinity(), 0};
  const Projected u = project({p, head, 0, x, {}}, std::pow(static_cast<double>(p.D), -0.25));
  for (size_t m = 0; m < u.value.size(); ++m)
    if (!(u.value[m] <= largest.value)) largest = {u.value[m], u.size[m]};
  return largest;
}

Maxima maxima(const Problem& p) {
  if (!p.held.k.empty()) return p.held;
  Maxima all{std::vector<Maximum>(static_cast<size_t>(p.B * p.queries() * p.HQ)),
             std::vector<Maximum>(static_cast<size_t>(p.B * p.T * p.HK))};
  if (!p.stabilise) return all;
  const Answers start = initial_answers(p);
  for (size_t row = 0; row < all.q.size(); ++row)
    all.q[row] = largest_projection(p, static_cast<int64_t>(row) % p.HQ, &p.q[row * static_cast<size_t>(p.D)]);
  for (const Sequence& s : sequences(p))
    for (int64_t head = 0; head < p.HK; ++head) {
      const auto from = static_cast<size_t>(s.state_row * p.HK + head);
      Maximum running{start.value.stabiliser[from], start.size.stabiliser[from]};
      for (int64_t i = 0; i < s.count; ++i) {
        const int64_t row = (s.b * p.T + s.first + i) * p.HK + head;
        const Maximum own = largest_projection(p, head, &p.k[static_cast<size_t>(row * p.D)]);
        if (own.value > running.value) running = own;
        all.k[static_cast<size_t>(row)] = running;
      }
    }
  return all;
}

Feature map_query(const Problem& p, int64_t head, int64_t position, const double* x) {
  return map_query(p, head, position, x, p.stabilise ? largest_projection(p, head, x) : Maximum{});
}

Feature map_query(const Problem& p, int64_t head, int64_t position, const double* x, const Maximum& own) {
  Feature out = maps().at(p.map).apply({p, head, position, x, own});
  for (double& y : out.value) y *= p.scale;
  for (double& y : out.size) y *= std::abs(p.scale);
  return out;
}

Feature map_key(const Problem& p, int64_t head, int64_t position, const double* x, const Maximum& running) {
  if (p.mixture.empty()) return maps().at(p.map).apply({p, head, position, x, running});
  const double* weights = &p.mixture[static_cast<size_t>(head * p.keys)];
  if (p.mix_first) {
    std::vector<double> sum(static_cast<size_t>(p.D)), size(sum);
    for (int64_t i = 0; i < p.keys * p.D; ++i) {
      sum[static_cast<size_t>(i % p.D)] += weights[i / p.D] * x[i];
      size[static_cast<size_t>(i % p.D)] += std::abs(weights[i / p.D] * x[i]);
    }
    // what a sum that cancels is off by, a feature is by its slope
    constexpr double step = 1e-6;
    const auto mapped = [&](double by) {
      std::vector<double> moved = sum;
      for (size_t i = 0; i < moved.size(); ++i) moved[i] += by * size[i];
      return maps().at(p.map).apply({p, head, position, moved.data(), running});
    };
    Feature of_sum = mapped(0);
    const Feature above = mapped(step), below = mapped(-step);
    for (size_t c = 0; c < of_sum.size.size(); ++c)
      of_sum.size[c] += std::abs(above.value[c] - below.value[c]) / (2 * step);
    return of_sum;
  }
  Feature all;
  for (int64_t r = 0; r < p.keys; ++r) {
    const Feature one = maps().at(p.map).apply({p, head, position, x + r * p.D, running});
    all.value.resize(one.value.size());
    all.size.resize(one.size.size());
    for (size_t c = 0; c < one.value.size(); ++c) {
      all.value[c] += weights[r] * one.value[c];
      all.size[c] += std::abs(weights[r]) * one.size[c];
    }
  }
  return all;
}

}  // namespace reference
