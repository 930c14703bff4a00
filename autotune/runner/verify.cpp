#include "verify.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "../../runtime/maps.h"
#include "oracle.h"

namespace lathe::tune {

namespace {

constexpr double kEpsilon = 0x1p-23, kSmallest = 0x1p-126;

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  for (size_t i = 0; i < a.size(); i++)
    if (std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  return true;
}

std::string text_of(const Setting& s, const Tiles& tiles) {
  return fmt::format("D={} M={} K={} V={} chunk tile {}{}{}", s.shape.D, s.shape.M, tiles.K(), s.shape.V,
                     tiles.tokens(), s.rows >= 0 ? fmt::format(", {} rows real", s.rows) : "",
                     s.in_place ? ", in place" : "");
}

bool differ(Verdict& verdict, const Tiles& tiles, const std::string& what) {
  verdict.right = false;
  verdict.text = fmt::format("{} ({})", what, text_of(tiles.setting(), tiles));
  return true;
}

bool compare(Verdict& verdict, const Tiles& tiles, double allowed) {
  const auto names = tiles.outputs();
  const auto results = tiles.results();
  for (size_t n = 0; n < names.size(); n++) {
    const auto want = wanted(tiles, names[n]);
    if (want.size() != results[n].size())
      return differ(verdict, tiles,
                    fmt::format("{} has {} numbers, its oracle {}", names[n], results[n].size(), want.size()));
    for (size_t i = 0; i < want.size(); i++) {
      if (want[i].free) continue;
      const double off = std::abs(results[n][i] - want[i].value) - kSmallest;
      const double error = off <= 0 ? 0 : off / (kEpsilon * want[i].size);
      // written so that a NaN fails
      if (!(error <= allowed))
        return differ(verdict, tiles,
                      fmt::format("{}[{}] is {:g} and should be {:g}: {:.3g} epsilons of its size, {:g} allowed",
                                  names[n], i, results[n][i], want[i].value, error, allowed));
      verdict.worst = std::max(verdict.worst, error);
    }
  }
  return false;
}

// True when something is wrong.
bool try_setting(Verdict& verdict, const Job& job, const Built& built, Kernel kernel, const Setting& setting) {
  verdict.settings++;
  Tiles tiles(job, built, setting);
  tiles.call(kernel);
  if (!tiles.surroundings_intact()) return differ(verdict, tiles, "wrote outside of its buffers");
  if (compare(verdict, tiles, allowed_epsilons(job))) return true;
  const auto first = tiles.results();
  for (int run = 0; run < 2; run++) {
    tiles.reset();
    tiles.call(kernel);
    if (same_bits(first, tiles.results())) continue;
    verdict.stable = false;
    return differ(verdict, tiles, "two runs on the same inputs differ");
  }
  return false;
}

// A NaN at a token must not reach the outputs of those before it.
bool try_causality(Verdict& verdict, const Job& job, const Built& built, Kernel kernel, const Setting& setting) {
  Tiles tiles(job, built, setting);
  tiles.call(kernel);
  const auto clean = tiles.results();
  const int64_t token = built.chunk / 2 + 1;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  tiles.reset();
  for (int64_t k = 0; k < tiles.tile("kt").rows(); k++) tiles.tile("kt").at(token, k) = nan;
  for (int64_t x = 0; x < tiles.tile("v").width(); x++) tiles.tile("v").at(x, token) = nan;
  tiles.call(kernel);
  const auto before = static_cast<size_t>(token * tiles.tile("o").width()) * sizeof(float);
  if (std::memcmp(clean[0].data(), tiles.results()[0].data(), before) != 0)
    return differ(verdict, tiles, fmt::format("a NaN at token {} reaches earlier outputs", token));
  return false;
}

std::vector<Setting> settings_of(const Job& job, const Built& built) {
  std::vector<Setting> all;
  const auto add = [&](const Setting& setting) {
    all.push_back(setting);
    all.back().seed = all.size();
  };
  if (has_map(job.kernel)) {
    const FeatureMap* map = find_map(job.axis.c_str());
    const int64_t some = map && map->projects() ? 1 : 0;
    for (const auto edge : {support::Edge::Last, support::Edge::First}) {
      add({.shape = {5, 7 * some, 16}, .rows = 1, .edge = edge});
      add({.shape = {33, 24 * some, 16}, .rows = built.chunk - 1, .gap = 16, .edge = edge});
      add({.shape = {64, 64 * some, 16}, .edge = edge});
    }
    for (int subtract : {1, 2})
      if (map && map->stabilises()) add({.shape = {20, 40, 16}, .subtract = subtract});
    return all;
  }
  const int64_t v = built.value_grain;
  for (const auto edge : {support::Edge::Last, support::Edge::First}) {
    add({.shape = {16, 0, v}, .edge = edge});
    add({.shape = {48, 0, 3 * v}, .gap = 16, .at_least = true, .edge = edge});
  }
  add({.shape = {64, 0, 2 * v}, .in_place = true});
  for (const Shape& shape : job.shapes) add({.shape = shape});
  return all;
}

}  // namespace

Verdict verify(const Job& job, const Built& built, Kernel kernel) {
  Verdict verdict;
  for (const Setting& setting : settings_of(job, built))
    if (try_setting(verdict, job, built, kernel, setting)) return verdict;
  if (job.kernel.starts_with("causal"))
    try_causality(verdict, job, built, kernel, {.shape = {32, 0, 2 * built.value_grain}});
  return verdict;
}

}  // namespace lathe::tune
