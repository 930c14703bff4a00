#include "headline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>

namespace lathe::cli {

namespace {

constexpr int64_t kRow = kHeadlineHeads * kHeadlineWidth;

struct Buffers {
  explicit Buffers(int64_t tokens) : q(random(tokens)), k(random(tokens)), v(random(tokens)), o(q.size()) {}
  static std::vector<float> random(int64_t tokens) {
    std::minstd_rand generator(1);
    std::vector<float> values(static_cast<size_t>(tokens * kRow));
    for (float& x : values) x = static_cast<float>(generator()) / 2147483648.0f - 0.5f;
    return values;
  }
  Arguments arguments(int64_t tokens) const {
    Arguments args;
    const std::vector<int64_t> shape = {1, tokens, kHeadlineHeads, kHeadlineWidth};
    args.add(LATHE_Q, q, shape);
    args.add(LATHE_K, k, shape);
    args.add(LATHE_V, v, shape);
    args.add(LATHE_O, o, shape);
    return args;
  }
  std::vector<float> q, k, v, o;
};

Timed timed(const std::string& what, const Call& call, double seconds, int64_t tokens) {
  return {what, call.describe(), seconds, tokens, 4.0 * static_cast<double>(kRow * kHeadlineWidth)};
}

// Every step for real; the best of several whole generations, on one thread or all.
double generate(int64_t length, int threads, std::vector<Timed>& calls) {
  const Buffers one(1);
  const std::vector<float> state(static_cast<size_t>(kRow * kHeadlineWidth)), z(static_cast<size_t>(kRow));
  Arguments args = one.arguments(1);
  for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT})
    args.add(role, state, {1, kHeadlineHeads, kHeadlineWidth, kHeadlineWidth});
  for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) args.add(role, z, {1, kHeadlineHeads, kHeadlineWidth});
  double best = std::numeric_limits<double>::infinity();
  for (int count : {1, threads}) {
    Call call({"decode", "plain", "elu1", true}, args, count);
    double mine = std::numeric_limits<double>::infinity();
    for (int repeat = 0; repeat < 8; repeat++)
      mine = std::min(mine, seconds_of([&] {
                        for (int64_t t = 0; t < length; t++) call.run(args);
                      }));
    if (count == 1) calls.push_back(timed(fmt::format("generation, {} positions", length), call, mine, length));
    best = std::min(best, mine);
  }
  return best;
}

double read_all(int64_t tokens, int threads, std::vector<Timed>& calls) {
  const Buffers buffers(tokens);
  const Arguments args = buffers.arguments(tokens);
  Call call({"causal", "plain", "elu1", true}, args, threads);
  double best = std::numeric_limits<double>::infinity(), spent = 0;
  for (int repeat = 0; repeat < 3 || spent < 0.15; repeat++) {
    const double seconds = seconds_of([&] { call.run(args); });
    best = std::min(best, seconds);
    spent += seconds;
  }
  calls.push_back(timed(fmt::format("causal, {} tokens", tokens), call, best, tokens));
  return best;
}

}  // namespace

double integrated(const Curve& steps, int64_t length) {
  double sum = 0;
  for (const Point& step : steps.points) sum += step.seconds;
  return steps.points.empty() ? 0 : sum / static_cast<double>(steps.points.size()) * static_cast<double>(length);
}

Headline time_lathe(bool quick, int threads, const Tell& progress) {
  Headline headline;
  for (int64_t length : {784, 3072}) {
    progress(0.1, fmt::format("generating {} positions", length));
    headline.generations.push_back({length, generate(length, threads, headline.calls), {}, {}});
  }
  const int64_t most = quick ? 16384 : 65536;
  for (int64_t tokens = 1024; tokens <= most; tokens *= 2) {
    progress(0.2 + 0.8 * static_cast<double>(tokens) / static_cast<double>(most), fmt::format("{} tokens", tokens));
    headline.sweep.points.push_back({static_cast<double>(tokens), read_all(tokens, threads, headline.calls)});
  }
  return headline;
}

}  // namespace lathe::cli
