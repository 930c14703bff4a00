#include "projection.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace lathe {

namespace {

// splitmix64 and Box-Muller: the standard library's distributions differ from one implementation to the next.
class Normal {
 public:
  explicit Normal(uint64_t seed) : state_(seed) {}
  double operator()() {
    const double u = (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53,
                 v = static_cast<double>(next() >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }

 private:
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  uint64_t state_;
};

double dot(const double* a, const double* b, int64_t d) {
  double sum = 0;
  for (int64_t i = 0; i < d; i++) sum += a[i] * b[i];
  return sum;
}

// Gram-Schmidt, twice over for accuracy. For a matrix of normals this is the Q of its QR, signs included.
void orthonormalise(std::vector<double>& rows, int64_t n, int64_t d) {
  for (int64_t i = 0; i < n; i++) {
    double* row = &rows[static_cast<size_t>(i * d)];
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = 0; j < i; j++) {
        const double* other = &rows[static_cast<size_t>(j * d)];
        const double overlap = dot(row, other, d);
        for (int64_t c = 0; c < d; c++) row[c] -= overlap * other[c];
      }
    const double norm = std::sqrt(dot(row, row, d));
    for (int64_t c = 0; c < d; c++) row[c] /= norm;
  }
}

}  // namespace

void draw_projection(uint64_t seed, bool orthogonal, bool unit_norms, int64_t m, int64_t d, float* out) {
  Normal normal(seed);
  std::vector<double> block(static_cast<size_t>(d * d));
  for (int64_t start = 0; start < m; start += d) {
    for (double& x : block) x = normal();
    if (orthogonal) orthonormalise(block, d, d);
    for (int64_t i = 0; i < d && start + i < m; i++) {
      const double* row = &block[static_cast<size_t>(i * d)];
      double norm = 1;
      if (unit_norms) {
        norm = std::sqrt(static_cast<double>(d)) / std::sqrt(dot(row, row, d));
      } else if (orthogonal) {
        double chi = 0;
        for (int64_t c = 0; c < d; c++) {
          const double x = normal();
          chi += x * x;
        }
        norm = std::sqrt(chi);
      }
      for (int64_t c = 0; c < d; c++) out[(start + i) * d + c] = static_cast<float>(row[c] * norm);
    }
  }
}

}  // namespace lathe
