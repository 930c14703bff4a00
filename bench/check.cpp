#include "check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::bench {

namespace {

using Row = std::vector<double>;

// Of keys the key'th of a token.
Row raw_row(const Problem& p, Tensor tensor, int64_t b, int64_t t, int64_t h, int64_t key = 0) {
  const Shape& s = p.what.shape;
  const int64_t width = tensor == Tensor::kValue ? s.value_width : s.width,
                keys = tensor == Tensor::kKey ? p.what.keys : 1;
  const int64_t start =
      p.row(b, t, h, tensor == Tensor::kQuery ? s.query_heads : s.key_heads, keys * width) + key * width;
  Row row(static_cast<size_t>(width));
  for (size_t i = 0; i < row.size(); i++) row[i] = p.first(tensor, start + static_cast<int64_t>(i));
  return row;
}

// exp(u - off) and exp(-u - off) with u = W x', x' = d^-1/4 x, off = |x'|^2/2 + ln(2M)/2.
Row favor(const Problem& p, const Row& x) {
  const auto m = static_cast<size_t>(p.what.shape.projections);
  const double shrink = std::pow(static_cast<double>(x.size()), -0.25);
  double off = std::log(2.0 * static_cast<double>(m)) / 2;
  for (double value : x) off += value * value * shrink * shrink / 2;
  Row mapped(2 * m);
  for (size_t j = 0; j < m; j++) {
    double u = 0;
    for (size_t i = 0; i < x.size(); i++) u += p.projection.floats()[j * x.size() + i] * x[i] * shrink;
    mapped[j] = std::exp(u - off);
    mapped[m + j] = std::exp(-u - off);
  }
  return mapped;
}

Row mapped_row(const Problem& p, Tensor tensor, int64_t b, int64_t t, int64_t h, int64_t key) {
  Row row = raw_row(p, tensor, b, t, h, key);
  if (p.what.map == "favor") return favor(p, row);
  if (p.what.map == "elu1")
    for (double& x : row) x = x > 0 ? x + 1 : std::exp(x);
  return row;
}

Row mapped_row(const Problem& p, Tensor tensor, int64_t b, int64_t t, int64_t h) {
  Row sum = mapped_row(p, tensor, b, t, h, 0);
  if (tensor != Tensor::kKey || p.what.keys == 1) return sum;
  for (int64_t key = 1; key < p.what.keys; key++) {
    const Row more = mapped_row(p, tensor, b, t, h, key);
    for (size_t i = 0; i < sum.size(); i++) sum[i] += more[i];
  }
  for (double& x : sum) x *= static_cast<double>(p.weight_of_key());
  return sum;
}

// What a token's key counts for its own query.
double own_weight(const Problem& p, int64_t h, size_t key) {
  return has_bonus(p.what) ? static_cast<double>(p.bonus_at(h, static_cast<int64_t>(key))) : 1;
}

// What a token's value counts.
double weight_of_value(const Problem& p, int64_t b, int64_t t, int64_t h) {
  double sum = 1;
  for (int64_t later = t + 1; later < p.what.shape.tokens && foresees(p.what); later++)
    sum = 1 + std::exp(static_cast<double>(p.log_decay)) * sum;
  return foresees(p.what) ? p.step_size * sum : static_cast<double>(p.step_at(b, t, h));
}

Row value_row(const Problem& p, int64_t b, int64_t t, int64_t h) {
  Row v = raw_row(p, Tensor::kValue, b, t, h);
  for (double& x : v) x *= weight_of_value(p, b, t, h);
  return v;
}

// What a token does to a momentum: how much of it is left, and how much of the token it takes.
struct Moves {
  double kept, taken;
};

Moves by_decay(const Problem& p) { return {std::exp(static_cast<double>(p.log_decay)), p.step_size}; }

// As the token says, beside the one before it. The first takes the place of what was not there.
Moves by_token(const Problem& p, const Row& momentum, const Row& k, const Row& v, const Row& last_k,
               const Row& last_v) {
  double distance = 0, length = 0;
  for (const double x : momentum) length += x * x;
  if (length == 0) return {0, 1};
  for (size_t i = 0; i < k.size(); i++)
    for (size_t j = 0; j < v.size(); j++) distance += std::pow(k[i] * v[j] - last_k[i] * last_v[j], 2);
  const double root = 1 - std::sqrt(p.step_size * std::sqrt(distance / length));
  return {std::min(root * root, 1 - 1e-4), p.step_size};
}

// What a token adds to a number of the state, which may have a momentum.
double moved(const Moves& by, double* momentum, double added) {
  if (momentum == nullptr) return added;
  return *momentum = by.kept * *momentum + by.taken * added;
}

// The recurrence of one head; out is called with every token's row.
template <typename Out>
void linear_head(const Problem& p, int64_t b, int64_t h, int steps, Out out) {
  const Case& c = p.what;
  const auto keys = static_cast<size_t>(key_width(c)), values = static_cast<size_t>(c.shape.value_width);
  const int64_t key_head = h * c.shape.key_heads / heads(c), query_head = h * c.shape.query_heads / heads(c);
  std::vector<double> state(keys * values), z(keys), momentum(moves(c) ? keys * values : 0), seen_state, seen_z;
  Row last_k, last_v;
  const auto read_by_row = [&](int64_t t) {
    Row row(values);
    for (size_t i = 0; i < keys && has_rows(c); i++)
      for (size_t j = 0; j < values; j++)
        row[j] += static_cast<double>(p.reads_at(b, t, key_head, static_cast<int64_t>(i))) * state[i * values + j];
    return row;
  };
  if (c.op == "decode") {
    const int64_t at = b * c.shape.key_heads + key_head;
    for (size_t i = 0; i < state.size(); i++)
      state[i] = p.first(Tensor::kState, at * static_cast<int64_t>(state.size()) + static_cast<int64_t>(i));
    for (size_t i = 0; i < keys; i++)
      z[i] = p.first(Tensor::kNormaliser, at * static_cast<int64_t>(keys) + static_cast<int64_t>(i));
  }
  const auto absorb = [&](int64_t t) {
    const Row k = mapped_row(p, Tensor::kKey, b, t, key_head);
    Row v = value_row(p, b, t, key_head);
    const Row has = read_by_row(t);
    seen_state = state;
    seen_z = z;
    for (size_t i = 0; i < keys; i++) {
      const double u = own_weight(p, key_head, i);
      seen_z[i] += u * k[i];
      for (size_t j = 0; j < values; j++) seen_state[i * values + j] += u * k[i] * v[j];
      const double decay = std::exp(static_cast<double>(p.log_decay_at(b, t, key_head, static_cast<int64_t>(i))));
      z[i] = decay * z[i] + k[i];
      const double row = has_rows(c) ? static_cast<double>(p.adds_at(b, t, key_head, static_cast<int64_t>(i))) : 0;
      for (size_t j = 0; j < values; j++) state[i * values + j] = decay * state[i * values + j] + row * has[j];
    }
    for (size_t j = 0; j < values && corrects(c); j++) {
      for (size_t i = 0; i < keys; i++) v[j] -= k[i] * state[i * values + j];
      v[j] *= p.beta_at(b, t, key_head);
    }
    const Moves by = adapts(c) ? by_token(p, momentum, k, v, last_k, last_v) : by_decay(p);
    for (size_t i = 0; i < keys; i++)
      for (size_t j = 0; j < values; j++)
        state[i * values + j] += moved(by, moves(c) ? &momentum[i * values + j] : nullptr, k[i] * v[j]);
    last_k = k, last_v = v;
  };
  if (c.op == "noncausal")
    for (int64_t t = 0; t < c.shape.tokens; t++) absorb(t);
  for (int64_t t = 0; t < c.shape.tokens; t++) {
    for (int step = 0; c.op != "noncausal" && step < steps; step++) absorb(t);
    const Row q = mapped_row(p, Tensor::kQuery, b, t, query_head);
    const std::vector<double>&of = has_bonus(c) ? seen_state : state, &under = has_bonus(c) ? seen_z : z;
    double denominator = p.eps;
    Row o(values);
    for (size_t i = 0; i < keys; i++) {
      denominator += q[i] * under[i];
      for (size_t j = 0; j < values; j++) o[j] += p.scale * q[i] * of[i * values + j];
    }
    if (c.normalise)
      for (double& x : o) x /= denominator;
    out(t, o);
  }
}

double slope(const Problem& p, double x) { return p.what.map == "elu1" && x <= 0 ? std::exp(x) : 1; }

// From the gradient of mixed features to those of the keys of a token.
Row of_each_key(const Problem& p, int64_t b, int64_t t, int64_t h, const Row& d) {
  Row all;
  for (int64_t key = 0; key < p.what.keys; key++) {
    const Row x = raw_row(p, Tensor::kKey, b, t, h, key);
    for (size_t i = 0; i < x.size(); i++) all.push_back(static_cast<double>(p.weight_of_key()) * slope(p, x[i]) * d[i]);
  }
  return all;
}

// The gradients of one head by queries, keys and values, each token's in turn; no heads share another's.
template <typename Out>
void gradients_of_head(const Problem& p, int64_t b, int64_t h, Out out) {
  const Case& c = p.what;
  const auto K = static_cast<size_t>(key_width(c)), V = static_cast<size_t>(c.shape.value_width);
  const bool causal = c.op == "causal_backward", lags = has_bonus(c);
  const int64_t T = c.shape.tokens;
  const auto left = [&](int64_t t, size_t key) {
    return std::exp(static_cast<double>(p.log_decay_at(b, t, h, static_cast<int64_t>(key))));
  };
  const auto row_of_gradient = [&](int64_t t) {
    Row row(V);
    for (size_t j = 0; j < V; j++)
      row[j] =
          p.first(Tensor::kOutputGradient, p.row(b, t, h, heads(c), c.shape.value_width) + static_cast<int64_t>(j));
    return row;
  };
  const Moves by = by_decay(p);
  Row state(K * V), momentum(moves(c) ? K * V : 0), z(K), inverse(static_cast<size_t>(T), 1),
      by_denominator(static_cast<size_t>(T));
  const auto absorb = [&](int64_t t) {
    const Row k = mapped_row(p, Tensor::kKey, b, t, h), v = value_row(p, b, t, h);
    for (size_t i = 0; i < K; i++) {
      const double a = left(t, i);
      z[i] = a * z[i] + k[i];
      for (size_t j = 0; j < V; j++)
        state[i * V + j] = a * state[i * V + j] + moved(by, moves(c) ? &momentum[i * V + j] : nullptr, k[i] * v[j]);
    }
  };
  for (int64_t t = 0; t < T && !causal; t++) absorb(t);
  for (int64_t t = 0; t < T; t++) {
    if (causal && !lags) absorb(t);
    const auto n = static_cast<size_t>(t);
    const Row q = mapped_row(p, Tensor::kQuery, b, t, h), x = raw_row(p, Tensor::kQuery, b, t, h);
    Row own(K), v(V);
    if (lags) own = mapped_row(p, Tensor::kKey, b, t, h), v = value_row(p, b, t, h);
    for (size_t i = 0; i < K; i++) own[i] *= own_weight(p, h, i);
    double denominator = p.eps;
    for (size_t i = 0; i < K; i++) denominator += q[i] * (z[i] + own[i]);
    if (c.normalise) inverse[n] = 1 / denominator;
    Row d_q(K), d_o = row_of_gradient(t);
    for (size_t i = 0; i < K; i++)
      for (size_t j = 0; j < V; j++) d_q[i] += (state[i * V + j] + own[i] * v[j]) * d_o[j] * inverse[n];
    for (size_t i = 0; i < K && c.normalise; i++) by_denominator[n] -= q[i] * d_q[i] * inverse[n];
    for (size_t i = 0; i < K; i++) d_q[i] = slope(p, x[i]) * (d_q[i] + by_denominator[n] * (z[i] + own[i]));
    out(0, t, d_q);
    if (lags) absorb(t);
  }
  std::fill(state.begin(), state.end(), 0);
  std::fill(z.begin(), z.end(), 0);
  std::fill(momentum.begin(), momentum.end(), 0);
  const auto collect = [&](int64_t t) {
    const Row q = mapped_row(p, Tensor::kQuery, b, t, h), d_o = row_of_gradient(t);
    const auto n = static_cast<size_t>(t);
    for (size_t i = 0; i < K; i++) {
      const double a = lags ? left(t, i) : causal && t + 1 < T ? left(t + 1, i) : 1;
      z[i] = a * z[i] + q[i] * by_denominator[n];
      for (size_t j = 0; j < V; j++)
        state[i * V + j] =
            a * state[i * V + j] + moved(by, moves(c) ? &momentum[i * V + j] : nullptr, q[i] * d_o[j] * inverse[n]);
    }
  };
  for (int64_t t = 0; t < T && !causal; t++) collect(t);
  for (int64_t t = T - 1; t >= 0; t--) {
    if (causal && !lags) collect(t);
    const Row k = mapped_row(p, Tensor::kKey, b, t, h), v = value_row(p, b, t, h), d_o = row_of_gradient(t);
    Row own(K);
    if (lags) own = mapped_row(p, Tensor::kQuery, b, t, h);
    for (size_t i = 0; i < K; i++) own[i] *= own_weight(p, h, i);
    const auto n = static_cast<size_t>(t);
    Row d_k = z, d_v(V);
    for (size_t i = 0; i < K; i++) {
      d_k[i] += own[i] * by_denominator[n];
      for (size_t j = 0; j < V; j++) {
        const double of = state[i * V + j] + own[i] * d_o[j] * inverse[n];
        d_k[i] += of * v[j];
        d_v[j] += of * k[i] * weight_of_value(p, b, t, h);
      }
    }
    out(1, t, of_each_key(p, b, t, h, d_k));
    out(2, t, d_v);
    if (lags) collect(t);
  }
}

// The same of the delta rule: what each token adds and takes away is kept, and states are made twice.
template <typename Out>
void gradients_of_corrected_head(const Problem& p, int64_t b, int64_t h, Out out) {
  const Case& c = p.what;
  const auto K = static_cast<size_t>(key_width(c)), V = static_cast<size_t>(c.shape.value_width);
  const int64_t T = c.shape.tokens;
  const auto rows = static_cast<size_t>(T);
  std::vector<Row> added(rows), taken(rows), by_added(rows);
  Row state(K * V);
  const auto decay = [&](int64_t t) {
    for (size_t i = 0; i < K; i++) {
      const double a = std::exp(static_cast<double>(p.log_decay_at(b, t, h, static_cast<int64_t>(i))));
      for (size_t j = 0; j < V; j++) state[i * V + j] *= a;
    }
  };
  const auto times_state = [&](const Row& k) {
    Row row(V);
    for (size_t i = 0; i < K; i++)
      for (size_t j = 0; j < V; j++) row[j] += k[i] * state[i * V + j];
    return row;
  };
  const auto state_times = [&](const Row& v) {
    Row row(K);
    for (size_t i = 0; i < K; i++)
      for (size_t j = 0; j < V; j++) row[i] += state[i * V + j] * v[j];
    return row;
  };
  const auto join = [&](const Row& k, const Row& v, double by) {
    for (size_t i = 0; i < K; i++)
      for (size_t j = 0; j < V; j++) state[i * V + j] += by * k[i] * v[j];
  };
  const auto given = [&](int64_t t) {
    const int64_t first = p.row(b, t, h, heads(c), c.shape.value_width);
    Row row(V);
    for (size_t j = 0; j < V; j++) row[j] = p.first(Tensor::kOutputGradient, first + static_cast<int64_t>(j));
    return row;
  };
  const auto finish = [&](int part, Tensor tensor, int64_t t, Row row) {
    const Row x = raw_row(p, tensor, b, t, h);
    for (size_t i = 0; i < K; i++) row[i] *= slope(p, x[i]);
    out(part, t, row);
  };
  const auto key = [&](int64_t t) { return mapped_row(p, Tensor::kKey, b, t, h); };
  for (int64_t t = 0; t < T; t++) {
    decay(t);
    Row x = value_row(p, b, t, h);
    const Row k = key(t), has = times_state(k);
    for (size_t j = 0; j < V; j++) x[j] = p.beta_at(b, t, h) * (x[j] - has[j]);
    join(k, x, 1);
    finish(0, Tensor::kQuery, t, state_times(given(t)));
    added[static_cast<size_t>(t)] = std::move(x);
  }
  std::fill(state.begin(), state.end(), 0);
  for (int64_t t = T - 1; t >= 0; t--) {
    const auto n = static_cast<size_t>(t);
    const Row k = key(t);
    if (t + 1 < T) decay(t + 1);
    join(mapped_row(p, Tensor::kQuery, b, t, h), given(t), 1);
    by_added[n] = state_times(added[n]);
    Row d_v = times_state(k);
    for (double& x : d_v) x *= p.beta_at(b, t, h);
    join(k, d_v, -1);
    out(2, t, d_v);
    taken[n] = std::move(d_v);
  }
  std::fill(state.begin(), state.end(), 0);
  for (int64_t t = 0; t < T; t++) {
    const auto n = static_cast<size_t>(t);
    decay(t);
    const Row by_taken = state_times(taken[n]);
    for (size_t i = 0; i < K; i++) by_added[n][i] -= by_taken[i];
    finish(1, Tensor::kKey, t, by_added[n]);
    join(key(t), added[n], 1);
  }
}

template <typename Out>
void softmax_head(const Problem& p, int64_t b, int64_t h, Out out) {
  const Shape& s = p.what.shape;
  // A quadratic operator: some tokens stand for all.
  for (int64_t t : {int64_t{0}, s.tokens / 3, s.tokens - 1}) {
    const Row q = raw_row(p, Tensor::kQuery, b, t, h);
    Row o(static_cast<size_t>(s.value_width));
    double sum = 0;
    for (int64_t j = 0; j <= t; j++) {
      const Row k = raw_row(p, Tensor::kKey, b, j, h), v = raw_row(p, Tensor::kValue, b, j, h);
      double score = 0;
      for (size_t i = 0; i < q.size(); i++) score += q[i] * k[i];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(q.size())));
      sum += weight;
      for (size_t i = 0; i < o.size(); i++) o[i] += weight * v[i];
    }
    for (double& x : o) x /= sum;
    out(t, o);
  }
}

double tolerance(const Case& c) {
  if (c.dtype == "bf16") return 1e-2;
  if (c.dtype == "f16") return 2e-3;
  return c.map == "favor" ? 1e-4 : 2e-5;
}

}  // namespace

Verdict check_output(const Problem& problem, std::span<const float> output, const std::string& op, int steps) {
  const Case& c = problem.what;
  double error = 0;
  for (auto [b, h] : {std::pair{int64_t{0}, int64_t{0}}, std::pair{c.shape.batch - 1, heads(c) - 1}}) {
    double difference = 0, largest = 1e-30;
    const auto compare = [&](int64_t start, const Row& expected) {
      for (size_t i = 0; i < expected.size(); i++) {
        const double d = std::fabs(output[static_cast<size_t>(start) + i] - expected[i]);
        // Not max(): that would drop a NaN.
        if (!(d <= difference)) difference = d;
        largest = std::max(largest, std::fabs(expected[i]));
      }
    };
    const auto compare_output = [&, b = b, h = h](int64_t t, const Row& expected) {
      compare(problem.row(b, t, h, heads(c), c.shape.value_width), expected);
    };
    if (is_backward(c)) {
      // one tensor of gradients behind the other
      const Shape& s = c.shape;
      const int64_t rows = s.batch * s.tokens * s.key_heads;
      const auto compare_gradient = [&, b = b, h = h](int part, int64_t t, const Row& expected) {
        const auto width = static_cast<int64_t>(expected.size());
        const int64_t before = part == 0 ? 0 : part == 1 ? rows * s.width : (1 + c.keys) * rows * s.width;
        compare(before + problem.row(b, t, h, s.key_heads, width), expected);
      };
      if (corrects(c))
        gradients_of_corrected_head(problem, b, h, compare_gradient);
      else
        gradients_of_head(problem, b, h, compare_gradient);
    } else if (op == "softmax")
      softmax_head(problem, b, h, compare_output);
    else
      linear_head(problem, b, h, steps, compare_output);
    if (!(difference / largest <= error)) error = difference / largest;
  }
  if (error <= tolerance(c)) return {true, error, ""};
  return {false, error,
          fmt::format("wrong answer: off by {:.2g} of the largest value, {:.2g} allowed", error, tolerance(c))};
}

}  // namespace lathe::bench
