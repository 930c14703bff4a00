#include "token_gates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "../generators/stretch.h"

namespace lathe {

namespace {

// How many powers of two a state may wait for.
constexpr float kMost = 24;

// 2^n, whole numbers n; 0 where float32 has no normal number for it.
float power_of_two(float n) {
  const float within = n > -127 ? std::min(n, 128.f) : -127;
  const float power = std::bit_cast<float>(static_cast<uint32_t>(static_cast<int32_t>(within) + 127) << 23);
  return n == n ? power : n;
}

}  // namespace

TokenGates::Parts TokenGates::parts(const Plan& plan) {
  const Padded& d = plan.padded;
  const bool keyed = plan.meaning.variant->keyed(), shared = plan.meaning.gated() && !keyed;
  Parts p{};
  Carver take;
  for (int64_t* part : {&p.queries, &p.keys}) *part = take(keyed ? d.C * d.K : 0);
  p.reading = take((keyed || shared) && plan.meaning.variant->reads_state() ? d.C * d.K : 0);
  p.added = take(plan.meaning.variant->rank_one() ? d.C * d.K : 0);
  p.steps = take(keyed || shared ? d.C * d.K : 0);
  p.decays = take(shared && plan.meaning.normalise() ? d.C * d.K : 0);
  p.leaving = take(d.K);
  p.ones = take(std::max(d.K, d.C));
  for (int64_t* part : {&p.growth, &p.down}) *part = take(d.C);
  p.floats = take.floats;
  return p;
}

int64_t TokenGates::floats(const Plan& plan) { return plan.kernels.recurrence ? parts(plan).floats : 0; }

TokenGates::TokenGates(Worker& worker, const Sequence& s, const Step& step, int64_t tokens)
    : w_(worker),
      plan_(worker.plan()),
      s_(s),
      step_(step),
      tokens_(tokens),
      lag_(plan_.meaning.variant->reads_before() ? 1 : 0),
      seen_(plan_.meaning.variant->rank_one() ? 0 : 1),
      gated_(plan_.meaning.gated()),
      shared_(gated_ && !plan_.meaning.variant->keyed()),
      at_(parts(plan_)),
      base_(worker.token_gates()) {
  if (plan_.meaning.variant->keyed()) keyed_.emplace(worker);
  std::fill_n(base_ + at_.ones, std::max(plan_.padded.K, plan_.padded.C), 1.f);
}

float TokenGates::peak_of(const Worker::Rows& rows, int64_t width) const {
  std::array<float, 16> peaks{};
  Buffer x(rows.data, width, tokens_, rows.stride), y(peaks.data(), peaks.size());
  call(*plan_.kernels.peaks, x, y);
  return *std::max_element(peaks.begin(), peaks.end());
}

const float* TokenGates::wholes() const { return mild() || !keyed_ ? nullptr : keyed_->sums().whole; }

Worker::Rows TokenGates::factors(const Worker::Rows& from, float sign, int32_t seen, int64_t to) const {
  if (!keyed_) return from;
  const int64_t K = plan_.padded.K, each = together();
  const KeyGates::Sums b = keyed_->sums();
  float wholes = mild() ? sign : 0;
  for (int64_t t = 0; t < tokens_; t += each) {
    const int64_t n = std::min(each, tokens_ - t);
    Buffer x(from.data + t * from.stride, K, n, from.stride), y(base_ + to + t * K, K, n, K);
    Buffer whole(b.whole + t * K, K, n + 1, K), rest(b.rest + t * K, K, n + 1, K);
    call(*plan_.kernels.gate_factors, x, whole, rest, sign, wholes, seen, y);
  }
  // gates may be NaN, and what is no token has none
  std::fill(base_ + to + step_.rows * K, base_ + to + tokens_ * K, 0.f);
  return {base_ + to, K};
}

Worker::Rows TokenGates::reading_at_once(const Worker::Rows& reading, int64_t few) const {
  if (mild()) return reading;
  const int64_t K = plan_.padded.K;
  float* own = base_ + at_.reading;
  for (int64_t t = 0; t < step_.rows; t++) {
    const int64_t begin = t / few * few;
    for (int64_t key = 0; key < K; key++) {
      float all = 1;
      for (int64_t u = begin; u < t + seen_; u++) all *= base_[at_.steps + u * K + key];
      own[t * K + key] = reading.data[t * reading.stride + key] * all;
    }
  }
  // what is no token reads nothing
  std::fill(own + step_.rows * K, own + tokens_ * K, 0.f);
  return {own, K};
}

void TokenGates::weigh_pairs(float* pairs, int64_t few) const {
  if (!shared_ || mild()) return;
  const float* whole = w_.gate();
  for (int64_t t = 1; t < tokens_; t++)
    for (int64_t j = 0; j < std::min(few - 1, t); j++) pairs[t * few + j] *= power_of_two(whole[t] - whole[t - 1 - j]);
}

const float* TokenGates::leaves(int64_t tokens) const {
  if (!gated_) return nullptr;
  if (tokens == tokens_) return base_ + at_.leaving;
  return mild() && tokens % waits_ == 0 ? base_ + at_.steps + (tokens / waits_ - 1) * plan_.padded.K : nullptr;
}

Worker::Rows TokenGates::steps_of_sums() const {
  if (shared_) return {base_ + at_.decays, plan_.padded.K};
  return mild() ? Worker::Rows{base_ + at_.ones, 0} : steps();
}

template <typename Mild>
int64_t TokenGates::patience(float added, Mild mild) const {
  // what is added to a state that waits is larger by what gates will take of it, and must not leave float32
  constexpr float largest = 1e28f;
  if (!(added < largest)) return 0;
  const int64_t C = plan_.padded.C;
  for (int64_t waits = C; waits > 0; waits -= kFewSums) {
    bool all = C % waits == 0;
    for (int64_t t = 0; t < tokens_ && all; t += waits) all = mild(t, std::min(t + waits, C));
    if (all) return waits;
  }
  return 0;
}

void TokenGates::take(const Chunk& chunk, int64_t head, const Worker::Rows& keys, const Worker::Rows& values,
                      float before) {
  mapped_ = keys_ = keys;
  values_ = values;
  if (keyed_) take_keyed(head, before);
  if (!shared_) return;
  chunk.fill_gate(step_, head, before);
  take_shared();
}

void TokenGates::take_keyed(int64_t head, float before) {
  const Padded& d = plan_.padded;
  keyed_->load(s_, step_, head, before);
  const float* whole = keyed_->sums().whole;
  waits_ = patience(peak_of(mapped_, d.K) * peak_of(values_, d.V), [&](int64_t from, int64_t to) {
    bool all = true;
    for (int64_t key = 0; key < d.K; key++) all &= whole[to * d.K + key] - whole[from * d.K + key] >= -kMost;  // no NaN
    return all;
  });
  keys_ = factors(mapped_, -1, 1, at_.keys);
  const int64_t apart = mild() ? waits_ : 1, n = (tokens_ + apart - 1) / apart;
  Buffer sums(whole, d.K, n + 1, apart * d.K), a(base_ + at_.steps, d.K, n, d.K);
  call(*plan_.kernels.gate_steps, sums, a);
  const float *rise = keyed_->sums().rise, *last = base_ + at_.steps + (n - 1) * d.K;
  for (int64_t key = 0; key < d.K; key++) base_[at_.leaving + key] = mild() ? rise[key] * last[key] : rise[key];
}

void TokenGates::take_shared() {
  const Padded& d = plan_.padded;
  const float *inclusive = w_.gate(), *fraction = inclusive + d.C;
  const auto whole = [&](int64_t t) { return t == 0 ? 0.f : inclusive[t - 1]; };
  waits_ = patience(peak_of(mapped_, d.K) * peak_of(values_, d.V), [&](int64_t from, int64_t to) {
    bool all = true;  // after a NaN they begin anew
    for (int64_t t = from + 1; t <= to; t++) all &= std::abs(whole(t) - whole(from)) <= kMost;
    return all;
  });
  const int64_t apart = mild() ? waits_ : 1;
  float *growth = base_ + at_.growth, *down = base_ + at_.down, *decays = base_ + at_.decays, before = 1;
  for (int64_t t = 0; t < tokens_; t++) {
    const float part = std::exp2(fraction[t]), since = mild() ? whole(t + 1) - whole(t / apart * apart) : 0;
    growth[t] = part * power_of_two(since);
    down[t] = power_of_two(-since) / part;
    if (plan_.meaning.normalise())
      std::fill_n(decays + t * d.K, d.K, part / before * power_of_two(whole(t + 1) - whole(t)));
    before = part;
  }
  float left = 1;
  for (int64_t t = 0; t < tokens_; t += apart) {
    left = power_of_two(whole(std::min(t + apart, d.C)) - whole(t));
    std::fill_n(base_ + at_.steps + t / apart * d.K, d.K, left);
  }
  std::fill_n(base_ + at_.leaving, d.K, mild() ? before * left : before);
}

}  // namespace lathe
