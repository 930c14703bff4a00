#include "mapped_gradients.h"

#include <algorithm>
#include <cmath>

#include "maps.h"

namespace reference {
namespace {

constexpr double kStep = 1e-6;

// From mapped rows to rows, and to what maps them, by central differences.
struct Rows {
  const Problem& p;
  int64_t heads, tokens;
  Feature (*map)(const Problem&, int64_t head, int64_t position, const double* x, const Maximum& subtract);
  const std::vector<double>& x;
  const Sized& mapped;
  int64_t width;                         // of a row of x
  const std::vector<Maximum>& subtract;  // what counts as constant

  template <typename Visit>
  void each(const std::vector<Sequence>& all, Visit visit) const {
    for (const Sequence& s : all)
      for (int64_t t = 0; t < (tokens == p.T ? s.count : tokens); ++t)
        for (int64_t h = 0; h < heads; ++h) visit((s.b * tokens + s.first + t) * heads + h, h, s.position + t);
  }

  Sized to_rows() const {
    Sized out;
    out.assign(x.size());
    const int64_t D = width, K = map_width(p);
    const bool pointwise = maps().at(p.map).pointwise, linear = p.map == "identity";
    const int64_t at_once = pointwise ? K : 1;  // elements that share no feature
    each(sequences(p), [&](int64_t row, int64_t h, int64_t position) {
      const auto begin = x.begin() + row * D;
      const Maximum& constant = subtract[static_cast<size_t>(row)];
      const Feature here = map(p, h, position, &*begin, constant);
      for (int64_t first = 0; first < D; first += at_once) {
        const auto moved = [&](double by) {
          std::vector<double> at(begin, begin + D);
          for (int64_t d = first; d < first + at_once; ++d) at[static_cast<size_t>(d)] += by;
          return map(p, h, position, at.data(), constant);
        };
        const Feature above = moved(kStep), below = moved(-kStep);
        for (int64_t c = 0; c < K; ++c) {
          const size_t n = static_cast<size_t>(c), g = static_cast<size_t>(row * K + c);
          const double slope = (above.value[n] - below.value[n]) / (2 * kStep);
          out.add(static_cast<size_t>(row * D + first + (pointwise ? c : 0)), slope * mapped.value[g],
                  (std::abs(slope) + (linear ? 0 : here.size[n])) * mapped.size[g]);
        }
      }
    });
    return out;
  }

  // Of projections, where a row is one vector x: maps see of W only W x, so that W[m][d] does what another number of
  // its row does, times x[d] over the other's. The other is where x is largest.
  void to_projection(Sized& out) const {
    const int64_t K = map_width(p);
    const bool shared = static_cast<int64_t>(p.projection.size()) == p.M * p.D;
    Problem moved = p;
    each(sequences(p), [&](int64_t row, int64_t h, int64_t position) {
      const double* of_row = &x[static_cast<size_t>(row * width)];
      const auto smaller = [](double a, double b) { return std::abs(a) < std::abs(b); };
      const int64_t largest = std::max_element(of_row, of_row + p.D, smaller) - of_row;
      if (of_row[largest] == 0) return;
      for (int64_t m = 0; m < p.M; ++m) {
        const auto first = static_cast<size_t>(((shared ? 0 : h * p.M) + m) * p.D);
        double& weight = moved.projection[first + static_cast<size_t>(largest)];
        const double before = weight;
        const auto mapped_with = [&](double by) {
          weight = before + by;
          return map(moved, h, position, of_row, subtract[static_cast<size_t>(row)]);
        };
        const Feature above = mapped_with(kStep), below = mapped_with(-kStep);
        weight = before;
        double slope = 0, size = 0;
        for (int64_t c = 0; c < K; ++c) {
          const size_t n = static_cast<size_t>(c), g = static_cast<size_t>(row * K + c);
          const double of_feature = (above.value[n] - below.value[n]) / (2 * kStep);
          slope += of_feature * mapped.value[g];
          size += std::abs(of_feature) * mapped.size[g];
        }
        for (int64_t d = 0; d < p.D; ++d) {
          const double part = of_row[d] / of_row[largest];
          out.add(first + static_cast<size_t>(d), part * slope, std::abs(part) * size);
        }
      }
    });
  }

  // Of what all rows are mapped with.
  void to_parameter(std::vector<double> Problem::*part, Sized& out) const {
    const int64_t K = map_width(p);
    Problem moved = p;
    for (size_t w = 0; w < (p.*part).size(); ++w) {
      std::vector<Feature> sides[2];
      for (int side = 0; side < 2; ++side) {
        (moved.*part)[w] = (p.*part)[w] + (side == 0 ? kStep : -kStep);
        each(sequences(p), [&](int64_t row, int64_t h, int64_t position) {
          const auto n = static_cast<size_t>(row);
          sides[side].push_back(map(moved, h, position, &x[n * static_cast<size_t>(width)], subtract[n]));
        });
      }
      (moved.*part)[w] = (p.*part)[w];
      size_t n = 0;
      each(sequences(p), [&](int64_t row, int64_t, int64_t) {
        for (int64_t c = 0; c < K; ++c) {
          const size_t m = static_cast<size_t>(c), g = static_cast<size_t>(row * K + c);
          const double slope = (sides[0][n].value[m] - sides[1][n].value[m]) / (2 * kStep);
          out.add(w, slope * mapped.value[g], std::abs(slope) * mapped.size[g]);
        }
        ++n;
      });
    }
  }
};

// From rows over their length, y = x / sqrt(x.x / multiple^2 + eps), to x: dx = (dy - y (y.dy) / multiple^2) / length.
Sized through_lengths(const Problem& p, const Sized& dy, const Rows& rows, double multiple) {
  Sized out;
  out.assign(dy.value.size());
  const auto K = static_cast<size_t>(map_width(p));
  rows.each(sequences(p), [&](int64_t row, int64_t h, int64_t position) {
    const Feature x = rows.map(p, h, position, &rows.x[static_cast<size_t>(row * rows.width)], {});
    const size_t first = static_cast<size_t>(row) * K;
    double square = p.eps, along = 0, along_size = 0;
    for (size_t c = 0; c < K && multiple != 0; ++c) square += x.value[c] * x.value[c] / (multiple * multiple);
    if (square == 0 || multiple == 0) return;
    for (size_t c = 0; c < K; ++c) {
      along += x.value[c] * dy.value[first + c];
      along_size += x.size[c] * dy.size[first + c];
    }
    for (size_t c = 0; c < K; ++c) {
      const double part = x.value[c] / (square * multiple * multiple);
      out.add(first + c, (dy.value[first + c] - part * along) / std::sqrt(square),
              (dy.size[first + c] + std::abs(part) * along_size) / std::sqrt(square));
    }
  });
  return out;
}

}  // namespace

GradientAnswers through_maps(const Problem& p, const MappedGradients& mapped) {
  Sized of_queries = mapped.q, of_keys = mapped.k;
  const Maxima subtract = maxima(p);
  const Rows queries{p, p.HQ, p.queries(), map_query, p.q, of_queries, p.D, subtract.q};
  const Rows keys{p, p.HK, p.T, map_key, p.k, of_keys, p.key_width(), subtract.k};
  if (p.unit_queries) of_queries = through_lengths(p, mapped.q, queries, p.scale);
  if (p.unit_keys) of_keys = through_lengths(p, mapped.k, keys, 1);
  const Sized q = queries.to_rows(), k = keys.to_rows();
  Sized projection, decay, mixture;
  projection.assign(p.projection.size());
  if (p.M > 0) {
    queries.to_projection(projection);
    if (p.mixture.empty())
      keys.to_projection(projection);
    else
      keys.to_parameter(&Problem::projection, projection);
  }
  mixture.assign(p.mixture.size());
  keys.to_parameter(&Problem::mixture, mixture);
  decay.assign(p.decay.size());
  for (size_t i = 0; i < mapped.gate.value.size() && !p.decay.empty(); ++i)
    decay.add(i % p.decay.size(), mapped.gate.value[i], mapped.gate.size[i]);
  GradientAnswers all;
  const auto put = [&](std::vector<double> Gradients::*part, const Sized& numbers) {
    all.value.*part = numbers.value;
    all.size.*part = numbers.size;
  };
  put(&Gradients::q, q);
  put(&Gradients::k, k);
  put(&Gradients::v, mapped.v);
  put(&Gradients::gate, mapped.gate);
  put(&Gradients::decay, decay);
  put(&Gradients::beta, mapped.beta);
  put(&Gradients::bonus, mapped.bonus);
  put(&Gradients::state, mapped.state);
  put(&Gradients::z, mapped.z);
  put(&Gradients::projection, projection);
  put(&Gradients::momentum, mapped.momentum);
  put(&Gradients::mixture, mixture);
  return all;
}

}  // namespace reference
