#include "shape_table.h"

#include <algorithm>

namespace support {
namespace {

Shape shape(const char* group, int64_t B, int64_t T, int64_t HQ, int64_t HK, int64_t HV, int64_t D, int64_t V,
            Layout layout) {
  Shape s = {group, {}, layout};
  s.problem.B = B;
  s.problem.T = T;
  s.problem.HQ = HQ;
  s.problem.HK = HK;
  s.problem.HV = HV;
  s.problem.D = D;
  s.problem.V = V;
  return s;
}

}  // namespace

std::vector<Shape> test_shapes(int64_t C) {
  return {
#define LATHE_TEST_SHAPE(group, b, t, hq, hk, hv, d, v, layout) shape(#group, b, t, hq, hk, hv, d, v, Layout::layout),
#include "../../bench/shapes.def"
  };
}

std::vector<Shape> timed_shapes(int64_t chunk) {
  std::vector<Shape> all;
  const auto add = [&](const char* group, int64_t B, int64_t T, int64_t HQ, int64_t HK, int64_t D, int64_t M,
                       int64_t V) {
    Shape s = shape(group, std::min<int64_t>(B, 2), std::min(T, chunk + 5), HQ, HK, HK, D, V, Layout::Bthd);
    s.problem.M = M;
    all.push_back(s);
  };
#define LATHE_SHAPE(group, b, t, hq, hk, d, m, v) add(#group, b, t, hq, hk, d, m, v);
#include "../../bench/shapes.def"
  return all;
}

std::vector<std::string> shape_groups() {
  std::vector<std::string> groups;
  for (const Shape& s : test_shapes(1))
    if (std::find(groups.begin(), groups.end(), s.group) == groups.end()) groups.push_back(s.group);
  return groups;
}

std::vector<Shape> shapes(const std::string& group, int64_t chunk) {
  std::vector<Shape> some = test_shapes(chunk);
  std::erase_if(some, [&](const Shape& s) { return s.group != group; });
  return some;
}

std::vector<int64_t> token_counts(int64_t chunk) {
  std::vector<int64_t> counts;
  for (const Shape& s : shapes("tokens", chunk)) counts.push_back(s.problem.T);
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

}  // namespace support
