// Host-side helpers: random projections and the widths of maps.
#include <gtest/gtest.h>
#include <lathe.h>

#include <cmath>
#include <vector>

#include "reference/reference.h"
#include "support/inputs.h"

namespace {

std::vector<float> draw(uint64_t seed, int orthogonal, int unit_norms, int64_t m, int64_t d) {
  std::vector<float> w(static_cast<size_t>(m * d), NAN);
  EXPECT_EQ(lathe_draw_projection(seed, orthogonal, unit_norms, m, d, w.data()), LATHE_OK);
  return w;
}

double dot(const std::vector<float>& w, int64_t a, int64_t b, int64_t d) {
  double sum = 0;
  for (int64_t i = 0; i < d; ++i) sum += static_cast<double>(w[a * d + i]) * w[b * d + i];
  return sum;
}

TEST(Projection, OfASeedIsAlwaysTheSame) {
  EXPECT_EQ(draw(5, 1, 0, 70, 32), draw(5, 1, 0, 70, 32));
  EXPECT_NE(draw(5, 1, 0, 70, 32), draw(6, 1, 0, 70, 32));
  EXPECT_NE(draw(5, 1, 0, 70, 32), draw(5, 0, 0, 70, 32));
}

TEST(Projection, RowsOfABlockAreOrthogonal) {
  const int64_t m = 75, d = 32;  // two blocks and a part of a third
  for (const int unit_norms : {0, 1}) {
    const auto w = draw(7, 1, unit_norms, m, d);
    for (int64_t a = 0; a < m; ++a)
      for (int64_t b = 0; b < a; ++b)
        ASSERT_TRUE(a / d != b / d || std::abs(dot(w, a, b, d)) < 1e-4) << a << " and " << b;
  }
}

TEST(Projection, NormsAreAsAsked) {
  const int64_t m = 600, d = 16;
  const auto unit = draw(8, 1, 1, m, d);
  for (int64_t a = 0; a < m; ++a) ASSERT_NEAR(dot(unit, a, a, d), static_cast<double>(d), 1e-4);
  for (const int orthogonal : {0, 1}) {
    const auto w = draw(9, orthogonal, 0, m, d);
    double mean = 0, square = 0;
    for (int64_t a = 0; a < m; ++a) {
      mean += dot(w, a, a, d) / m;
      square += dot(w, a, a, d) * dot(w, a, a, d) / m;
    }
    // The squared norm has mean d and variance 2 d; five standard errors of 600 rows.
    EXPECT_NEAR(mean, d, 5 * std::sqrt(2.0 * d / m));
    EXPECT_NEAR(square - mean * mean, 2 * d, 15);
  }
}

TEST(Projection, IndependentEntriesAreNormal) {
  const auto w = draw(10, 0, 0, 500, 40);
  double mean = 0, square = 0, fourth = 0;
  for (const double x : w) {
    mean += x / 20000;
    square += x * x / 20000;
    fourth += x * x * x * x / 20000;
  }
  EXPECT_NEAR(mean, 0, 0.04);
  EXPECT_NEAR(square, 1, 0.05);
  EXPECT_NEAR(fourth, 3, 0.35);
}

TEST(Projection, RefusesWhatItCannotDraw) {
  float w[4] = {1, 2, 3, 4};
  EXPECT_EQ(lathe_draw_projection(1, 1, 1, -1, 2, w), LATHE_INVALID);
  EXPECT_EQ(lathe_draw_projection(1, 1, 1, 2, 0, w), LATHE_INVALID);
  EXPECT_EQ(lathe_draw_projection(1, 1, 1, 2, 2, nullptr), LATHE_INVALID);
  EXPECT_EQ(w[0], 1);
}

TEST(MapWidth, IsTheOracles) {
  for (const std::string& map : reference::map_names()) {
    const reference::Problem p = support::with_map({}, map);
    std::vector<lathe_attr> attrs;
    for (const auto& [name, value] : p.attrs) attrs.push_back({name.c_str(), value});
    int64_t k = -1;
    EXPECT_EQ(lathe_map_width(map.c_str(), p.D, p.M, attrs.data(), attrs.size(), &k), LATHE_OK) << map;
    EXPECT_EQ(k, reference::map_width(p)) << map;
  }
  int64_t k = -1;
  EXPECT_EQ(lathe_map_width("elu2", 8, 0, nullptr, 0, &k), LATHE_INVALID);
  EXPECT_EQ(k, -1);
}

}  // namespace
