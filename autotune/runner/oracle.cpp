#include "oracle.h"

#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <stdexcept>

#include "reference/reference.h"

namespace lathe::tune {

namespace {

struct Sum {
  double value = 0, size = 0;
  void add(double term, double growth = 1) {
    value += term;
    size += std::abs(term) * growth;
  }
  void add(double factor, const Sum& other) {
    value += factor * other.value;
    size += std::abs(factor) * other.size;
  }
};

// Inclusive sums of the log gates; 0 where the kernel has none.
struct Gate {
  explicit Gate(const Tiles& t) : b(t.input("b")) {}
  double operator()(int64_t i) const { return b.data ? (b(i, 0) + b(i, 1)) * std::numbers::ln2 : 0; }
  Matrix b;
};
// An exponential turns the absolute error of its argument into a relative one of its own.
double growth(double exponent) { return 1 + std::abs(exponent); }

Sum denominator(const Tiles& t, const Sum& below) {
  const double eps = t.number("eps");
  const double value = t.number("at_least") == 1 ? std::max(below.value, eps) : below.value + eps;
  return {value, below.size + std::abs(eps)};
}

std::vector<Wanted> causal(const Tiles& t, const std::string&) {
  const Matrix q = t.input("q"), kt = t.input("kt"), v = t.input("v"), h = t.input("h"), z = t.input("z");
  const Gate gate(t);
  std::vector<Wanted> out;
  for (int64_t i = 0; i < kt.width; i++) {
    const double left = std::exp(gate(i)), grown = growth(gate(i));
    std::vector<Sum> scores;
    for (int64_t j = 0; j <= i; j++) {
      Sum sum;
      for (int64_t k = 0; k < q.width; k++) sum.add(q(k, i) * kt(j, k));
      const double since = gate(i) - gate(j), factor = std::exp(since);
      scores.push_back({sum.value * factor, sum.size * factor * growth(since)});
    }
    Sum under{1, 0};
    if (z.data) {
      under = {};
      for (int64_t k = 0; k < q.width; k++) under.add(q(k, i) * left * z(k), grown);
      for (const Sum& s : scores) under.add(1, s);
      under = denominator(t, under);
    }
    for (int64_t x = 0; x < v.width; x++) {
      Sum sum;
      for (int64_t k = 0; k < q.width; k++) sum.add(q(k, i) * left * h(x, k), grown);
      for (int64_t j = 0; j <= i; j++) sum.add(v(x, j), scores[static_cast<size_t>(j)]);
      const double o = sum.value / under.value;
      out.push_back({o, (sum.size + std::abs(o) * under.size) / std::abs(under.value)});
    }
  }
  return out;
}

// Columns with gates of their own; down has the fractions of b at its token, so that only whole numbers differ.
std::vector<Wanted> causal_columns(const Tiles& t, const std::string&) {
  const Matrix q = t.input("q"), kt = t.input("kt"), v = t.input("v"), down = t.input("down"), h = t.input("h"),
               u = t.input("u"), whole = t.input("whole"), rest = t.input("rest");
  const auto lag = static_cast<int64_t>(t.number("lag"));
  std::vector<Wanted> out;
  for (int64_t i = 0; i < kt.width; i++) {
    std::vector<Sum> scores(static_cast<size_t>(i + 1));
    for (int64_t j = 0; j <= i; j++)
      for (int64_t k = 0; k < q.width; k++) scores[static_cast<size_t>(j)].add(q(k, i) * kt(j, k));
    const int64_t seen = i + 1 - lag;
    for (int64_t x = 0; x < v.width; x++) {
      Sum before, sum;
      for (int64_t k = 0; k < q.width; k++) before.add(q(k, i) * h(x, k) * std::exp2(whole(x, seen)));
      for (int64_t j = 0; j < i; j++)
        before.add(down(x, j) * std::exp2(whole(x, seen) - whole(x, j + 1)), scores[static_cast<size_t>(j)]);
      sum.add(std::exp2(rest(x, seen)), before);
      sum.add(u(x) * v(x, i), scores.back());
      out.push_back({sum.value, sum.size});
    }
  }
  return out;
}

// By columns of the inverse, each by substitution down the triangle.
std::vector<Wanted> solved(const Tiles& t, const std::string& output,
                           const std::function<Sum(int64_t later, int64_t token)>& system,
                           const std::function<double(int64_t)>& exponent) {
  const Matrix beta = t.input("beta");
  const int64_t C = beta.width;
  const bool of_keys = output.ends_with(".1");
  std::vector<Wanted> out(static_cast<size_t>(C * C), {0, 0, true});
  for (int64_t j = 0; j < C; j++) {
    std::vector<Sum> column(static_cast<size_t>(C));
    const double factor = of_keys ? -std::exp(exponent(j)) * beta(j) : beta(j), grown = growth(exponent(j));
    for (int64_t i = j; i < C; i++) {
      Sum& entry = column[static_cast<size_t>(i)];
      if (i == j) entry.add(1);
      for (int64_t m = j; m < i; m++) {
        const Sum coefficient = system(i, m), &above = column[static_cast<size_t>(m)];
        entry.value -= coefficient.value * above.value;
        entry.size += coefficient.size * above.size;
      }
      out[static_cast<size_t>(i * C + j)] = {entry.value * factor, entry.size * std::abs(factor) * grown};
    }
  }
  return out;
}

std::vector<Wanted> delta_solve(const Tiles& t, const std::string& output) {
  const Matrix keys = t.input("k"), kt = t.input("kt"), beta = t.input("beta");
  const Gate gate(t);
  const auto system = [&](int64_t later, int64_t token) {
    Sum sum;
    const double since = gate(later) - gate(token);
    for (int64_t k = 0; k < keys.width; k++)
      sum.add(beta(later) * std::exp(since) * keys(k, later) * kt(token, k), growth(since));
    return sum;
  };
  return solved(t, output, system, [&](int64_t token) { return gate(token); });
}

std::vector<Wanted> delta_solve_keys(const Tiles& t, const std::string& output) {
  const Matrix near = t.input("near"), kt = t.input("kt"), beta = t.input("beta"), whole = t.input("whole"),
               reached = t.input("reached"), pairs = t.input("pairs");
  const int64_t block = beta.width / reached.rows;
  const auto system = [&](int64_t later, int64_t token) {
    Sum sum;
    if (later / block == token / block)
      sum.add(beta(later) * pairs(token % block, later));
    else
      for (int64_t k = 0; k < near.width; k++)
        sum.add(beta(later) * near(k, later) * kt(token, k) * std::exp2(reached(k, later / block) - whole(token, k)));
    return sum;
  };
  return solved(t, output, system, [](int64_t) { return 0.; });
}

std::vector<Wanted> delta_values(const Tiles& t, const std::string&) {
  const Matrix w = t.input("w"), taken = t.input("t"), v = t.input("v"), h = t.input("h");
  std::vector<Wanted> out;
  for (int64_t i = 0; i < w.rows; i++)
    for (int64_t x = 0; x < v.width; x++) {
      Sum sum;
      for (int64_t k = 0; k < w.width; k++) sum.add(w(k, i) * h(x, k));
      for (int64_t j = 0; j <= i; j++) sum.add(taken(j, i) * v(x, j));
      out.push_back({sum.value, sum.size});
    }
  return out;
}

std::vector<Wanted> state(const Tiles& t, const std::string&) {
  const Matrix keys = t.input("k"), v = t.input("v"), h = t.input("h");
  const Gate gate(t);
  const double last = gate(keys.rows - 1);
  std::vector<Wanted> out;
  for (int64_t k = 0; k < h.rows; k++)
    for (int64_t x = 0; x < h.width; x++) {
      Sum sum;
      sum.add(std::exp(last) * h(x, k), growth(last));
      for (int64_t j = 0; j < keys.rows; j++) {
        const double rest = last - gate(j);
        sum.add(std::exp(rest) * keys(k, j) * v(x, j), growth(rest));
      }
      out.push_back({sum.value, sum.size});
    }
  return out;
}

std::vector<Wanted> recurrence(const Tiles& t, const std::string& output) {
  const Matrix q = t.input("q"), k = t.input("k"), v = t.input("v"), a = t.input("a"), own = t.input("own"),
               inv = t.input("inv"), h = t.input("h"), weight = t.input("weight");
  const int64_t C = v.rows, K = q.width, V = v.width, rows = output == "o" ? C : K;
  std::vector<Wanted> wanted(static_cast<size_t>(rows * V));
  const auto put = [&](int64_t x, int64_t row, double factor, const Sum& sum) {
    wanted[static_cast<size_t>(row * V + x)] = {factor * sum.value, std::abs(factor) * sum.size};
  };
  for (int64_t x = 0; x < V; x++) {
    std::vector<Sum> state(static_cast<size_t>(K));
    for (int64_t key = 0; key < K; key++) state[static_cast<size_t>(key)].add(h(x, key));
    for (int64_t i = 0; i < C; i++) {
      Sum sum;
      if (own.data) sum.add(own(i) * weight(i) * v(x, i));
      for (int64_t key = 0; key < K; key++) {
        Sum& s = state[static_cast<size_t>(key)];
        if (own.data) sum.add(q(key, i), s);
        Sum after;
        after.add(a.data ? a(key, i) : 1, s);
        after.add(k(key, i) * weight(i) * v(x, i));
        s = after;
        if (!own.data) sum.add(q(key, i), s);
      }
      if (output == "o") put(x, i, inv(i), sum);
    }
    for (int64_t key = 0; key < K && output != "o"; key++) put(x, key, 1, state[static_cast<size_t>(key)]);
  }
  return wanted;
}

std::vector<Wanted> key_sum(const Tiles& t, const std::string&) {
  const Matrix keys = t.input("k"), z = t.input("z");
  const Gate gate(t);
  const double last = gate(keys.rows - 1);
  std::vector<Wanted> out;
  for (int64_t k = 0; k < z.width; k++) {
    Sum sum;
    sum.add(std::exp(last) * z(k), growth(last));
    for (int64_t j = 0; j < keys.rows; j++) sum.add(std::exp(last - gate(j)) * keys(k, j), growth(last - gate(j)));
    out.push_back({sum.value, sum.size});
  }
  return out;
}

std::vector<Wanted> transpose(const Tiles& t, const std::string&) {
  const Matrix keys = t.input("k");
  std::vector<Wanted> out;
  for (int64_t k = 0; k < keys.width; k++)
    for (int64_t j = 0; j < keys.rows; j++) out.push_back({keys(k, j), 0});
  return out;
}

std::vector<Wanted> readout(const Tiles& t, const std::string&) {
  const Matrix q = t.input("q"), h = t.input("h"), inv = t.input("inv");
  std::vector<Wanted> out;
  for (int64_t i = 0; i < q.rows; i++)
    for (int64_t x = 0; x < h.width; x++) {
      Sum sum;
      for (int64_t k = 0; k < q.width; k++) sum.add(q(k, i) * h(x, k));
      out.push_back({sum.value * inv(i), sum.size * std::abs(inv(i))});
    }
  return out;
}

std::vector<Wanted> key_step(const Tiles& t, const std::string&) {
  const Matrix keys = t.input("k"), z = t.input("z"), a = t.input("a");
  std::vector<Wanted> out;
  for (int64_t i = 0; i < keys.rows; i++)
    for (int64_t c = 0; c < keys.width; c++) {
      Sum sum;
      sum.add(a(i) * z(c, i));
      sum.add(keys(c, i));
      out.push_back({sum.value, sum.size});
    }
  return out;
}

std::vector<Wanted> fixed_denominator(const Tiles& t, const std::string&) {
  const Matrix q = t.input("q"), z = t.input("z");
  std::vector<Wanted> out;
  for (int64_t i = 0; i < q.rows; i++) {
    Sum sum;
    for (int64_t k = 0; k < q.width; k++) sum.add(q(k, i) * z(k, i));
    const Sum under = denominator(t, sum);
    out.push_back({1 / under.value, (1 + under.size / std::abs(under.value)) / std::abs(under.value)});
  }
  return out;
}

// One token of the recurrence, or what is read of a state that stays as it is.
std::vector<Wanted> decode(const Tiles& t, const std::string& output) {
  const Matrix q = t.input("q"), k = t.input("k"), v = t.input("v"), h = t.input("h"), before = t.input("before");
  const auto next = [&](int64_t x, int64_t key) {
    Sum sum;
    sum.add((k.data ? t.number("a") : 1) * h(x, key));
    if (k.data) sum.add(k(key) * v(x));
    return sum;
  };
  std::vector<Wanted> out;
  if (output == "h_out") {
    for (int64_t key = 0; key < h.rows; key++)
      for (int64_t x = 0; x < h.width; x++) out.push_back({next(x, key).value, next(x, key).size});
    return out;
  }
  for (int64_t x = 0; x < h.width; x++) {
    Sum sum;
    if (before.data) sum.add(before(x));
    for (int64_t key = 0; key < h.rows; key++) sum.add(q(key), next(x, key));
    out.push_back({sum.value * t.number("inv"), sum.size * t.number("inv")});
  }
  return out;
}

// Maps have their oracle in tests/reference: a token at a time.
struct Mapped {
  std::vector<reference::Feature> features;
  std::vector<reference::Maximum> peaks;
};

Mapped mapped(const Tiles& t) {
  const Setting& s = t.setting();
  reference::Problem p;
  p.map = t.job().axis;
  p.D = s.shape.D;
  p.M = s.shape.M;
  p.scale = t.number("scale");
  p.attrs["max_length"] = t.number("attribute");
  const Matrix rows = t.input("x"), w = t.input("w");
  for (int64_t m = 0; m < p.M; m++)
    for (int64_t d = 0; d < p.D; d++) p.projection.push_back(w(m, d));
  const auto subtract = static_cast<int>(t.number("subtract"));
  p.stabilise = subtract == 1;
  Mapped all;
  reference::Maximum running{t.number("peak_before"), std::abs(t.number("peak_before"))};
  for (int64_t i = 0; i < static_cast<int64_t>(t.number("rows")); i++) {
    std::vector<double> x;
    for (int64_t d = 0; d < p.D; d++) x.push_back(rows(d, i));
    const int64_t position = static_cast<int64_t>(t.number("position")) + i;
    if (t.has("peak"))
      if (const auto own = reference::largest_projection(p, 0, x.data()); subtract != 2 || own.value > running.value)
        running = own;
    reference::Feature feature = subtract == 2 ? reference::map_key(p, 0, position, x.data(), running)
                                               : reference::map_query(p, 0, position, x.data());
    for (auto* part : {&feature.value, &feature.size})
      for (double& y : *part) y *= subtract == 2 ? p.scale : 1;
    all.features.push_back(std::move(feature));
    all.peaks.push_back(running);
  }
  return all;
}

std::vector<Wanted> map(const Tiles& t, const std::string& output) {
  const Tile& tile = t.tile(output);
  const bool scratch = output == "u";
  const Mapped all = scratch ? Mapped{} : mapped(t);
  const auto rows = static_cast<int64_t>(all.features.size());
  std::vector<Wanted> out;
  for (int64_t y = 0; y < tile.rows(); y++)
    for (int64_t x = 0; x < tile.width(); x++) {
      const int64_t token = y, column = x;
      if (scratch)
        out.push_back({0, 0, true});
      else if (output == "peak" && x >= rows && t.number("subtract") != 2)
        out.push_back({0, 0, true});
      else if (output == "peak")  // past the last row it stands still
        out.push_back({all.peaks[static_cast<size_t>(std::min(x, rows - 1))].value,
                       1 + all.peaks[static_cast<size_t>(std::min(x, rows - 1))].size});
      else if (token >= rows || column >= t.K())
        out.push_back({0, 0});
      else
        out.push_back({all.features[static_cast<size_t>(token)].value[static_cast<size_t>(column)],
                       all.features[static_cast<size_t>(token)].size[static_cast<size_t>(column)]});
    }
  return out;
}

// What a step to either side of each number of x does to the mapped row.
std::vector<Wanted> map_backward(const Tiles& t, const std::string& output) {
  const Tile& tile = t.tile(output);
  reference::Problem p;
  p.map = t.job().axis;
  p.D = t.setting().shape.D;
  p.scale = t.number("scale");
  p.attrs["max_length"] = t.number("attribute");
  if (t.setting().shape.M > 0) throw std::invalid_argument("the tuner has no oracle for gradients of projections");
  const Matrix rows = t.input("x"), dy = t.input("dy");
  std::vector<Wanted> out;
  for (int64_t i = 0; i < tile.rows(); i++)
    for (int64_t c = 0; c < tile.width(); c++) {
      Sum sum;
      if (i < static_cast<int64_t>(t.number("rows")) && c < p.D) {
        std::vector<double> x;
        for (int64_t d = 0; d < p.D; d++) x.push_back(rows(d, i));
        const auto at = [&](double value) {
          x[static_cast<size_t>(c)] = value;
          return reference::map_query(p, 0, static_cast<int64_t>(t.number("position")) + i, x.data()).value;
        };
        const double middle = rows(c, i), step = 0x1p-20 * std::max(1., std::abs(middle));
        const auto above = at(middle + step), below = at(middle - step);
        for (int64_t k = 0; k < t.K(); k++)
          sum.add(dy(k, i) * (above[static_cast<size_t>(k)] - below[static_cast<size_t>(k)]) / (2 * step));
      }
      out.push_back({sum.value, sum.size});
    }
  return out;
}

using Oracle = std::vector<Wanted> (*)(const Tiles&, const std::string&);
const std::map<std::string, Oracle> kOracles = {{"causal", causal},
                                                {"causal_normalised", causal},
                                                {"causal_columns", causal_columns},
                                                {"delta_solve", delta_solve},
                                                {"delta_solve_keys", delta_solve_keys},
                                                {"delta_values", delta_values},
                                                {"map_backward", map_backward},
                                                {"recurrence", recurrence},
                                                {"recurrence_before", recurrence},
                                                {"recurrence_keys", recurrence},
                                                {"recurrence_keys_before", recurrence},
                                                {"state", state},
                                                {"readout", readout},
                                                {"key_sum", key_sum},
                                                {"key_step", key_step},
                                                {"fixed_denominator", fixed_denominator},
                                                {"decode", decode},
                                                {"recall", decode},
                                                {"map", map},
                                                {"transpose", transpose}};

}  // namespace

std::vector<Wanted> wanted(const Tiles& tiles, const std::string& output) {
  const auto oracle = kOracles.find(tiles.job().kernel);
  if (oracle == kOracles.end())
    throw std::invalid_argument("the tuner has no oracle for " + tiles.job().kernel +
                                ": it belongs in autotune/runner/oracle.cpp");
  return oracle->second(tiles, output);
}

double allowed_epsilons(const Job& job) { return has_map(job.kernel) ? 64 : job.axis == "decay" ? 30 : 10; }

}  // namespace lathe::tune
