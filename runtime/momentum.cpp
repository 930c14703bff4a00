#include "momentum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace lathe {

namespace {

double log_kept(const Plan& plan, const Problem& p, int64_t head) {
  float g;
  log_decays(plan.meaning, p, 0, 0, 1, head, &g);
  return static_cast<double>(g);
}

}  // namespace

Moved moved_by_decay(const Plan& plan, const Problem& p, int64_t head) {
  return {static_cast<float>(std::exp(log_kept(plan, p, head))), *p[LATHE_STEP_SIZE].floats(head)};
}

// Sums of powers, twice as many terms with each bit of their number: (1 - beta^n) / (1 - beta) cancels.
WeightOfValue::WeightOfValue(const Plan& plan, const Problem& p, int64_t head, int64_t after)
    : beta_(std::exp(log_kept(plan, p, head))), gamma_(static_cast<double>(*p[LATHE_STEP_SIZE].floats(head))) {
  double power = 1;
  for (uint64_t bit = std::bit_floor(static_cast<uint64_t>(after)); bit > 0; bit >>= 1) {
    sum_ += power * sum_;
    power *= power;
    if (!(static_cast<uint64_t>(after) & bit)) continue;
    sum_ += power;
    power *= beta_;
  }
}

void move(const Plan& plan, int64_t K, const TokenRows& token, const MovedState& of, const Moved& by, float inv,
          float* out) {
  const int64_t columns = of.columns;
  float one = 1, kept = by.kept, taken = by.taken;
  std::fill_n(out, columns, 0.f);
  Buffer v(token.v, columns), o(out, columns);
  in_blocks_of_keys(
      K, [](int64_t, int64_t) {},
      [&](int64_t first, int64_t keys) {
        const auto rows = [&](const float* of_all) { return of_all + first * columns; };
        Buffer q(token.q + first, keys), k(token.k + first, keys), h(rows(of.state), columns, keys, columns),
            p(rows(of.momentum), columns, keys, columns), h_out(rows(of.next), columns, keys, columns),
            p_out(rows(of.next_momentum), columns, keys, columns);
        call(*plan.kernels.decode_momentum, q, k, v, h, o, kept, p, taken, first + keys == K ? inv : one, p_out, h_out,
             o);
      });
}

Momentum::Parts Momentum::parts(const Plan& plan) {
  const int64_t C = plan.padded.C;
  Parts p{};
  Carver take;
  const int64_t widest = std::max(plan.padded.K, plan.padded.V);
  p.weights = take(2 * C);
  for (int64_t* table : {&p.state, &p.momentum, &p.rest_of_state, &p.rest_of_momentum}) *table = take(C);
  for (int64_t* tile : {&p.reads_state, &p.reads_momentum}) *tile = take(C * widest);
  p.none = take(widest);
  p.halves = take(static_cast<int64_t>(2 * sizeof(Half) / sizeof(float)));
  p.floats = take.floats;
  return p;
}

int64_t Momentum::floats(const Plan& plan) { return plan.meaning.variant->moves() ? parts(plan).floats : 0; }

Momentum::Momentum(Worker& worker)
    : p_(worker.problem()), plan_(worker.plan()), C_(plan_.padded.C), at_(parts(plan_)), base_(worker.momentum()) {
  std::fill_n(base_ + at_.none, std::max(plan_.padded.K, plan_.padded.V), 0.f);
}

void Momentum::take(const Sequence& s, int64_t head, int64_t rows) const {
  const double beta = std::exp(log_kept(plan_, p_, head)),
               gamma = static_cast<double>(*p_[LATHE_STEP_SIZE].floats(head));
  const bool back = s.step < 0;
  float *weights = base_ + at_.weights, *of_state = base_ + at_.state, *of_momentum = base_ + at_.momentum,
        *rest_of_state = base_ + at_.rest_of_state, *rest_of_momentum = base_ + at_.rest_of_momentum;
  std::fill_n(weights, 2 * C_, 0.f);
  std::fill_n(rest_of_state, C_, back ? 1.f : 0.f);
  std::fill_n(rest_of_momentum, C_, 0.f);
  // where it is denormal it leaves nothing, and costs what denormals cost
  const auto normal = [](double x) {
    return std::abs(x) < std::numeric_limits<float>::min() ? 0.f : static_cast<float>(x);
  };
  // sums of powers and not (1 - power) / (1 - beta), which cancels where beta is near 1
  double power = 1, sum = 1;
  for (int64_t i = 0; i < C_; i++) {
    weights[C_ - 1 - i] = static_cast<float>(gamma * sum);
    of_state[i] = back ? static_cast<float>(gamma * sum) : 1.f;
    of_momentum[i] = back ? normal(-gamma * power) : static_cast<float>(-beta * sum);
    if (i < rows) {
      if (!back) rest_of_state[rows - 1 - i] = static_cast<float>(gamma * sum);
      rest_of_momentum[rows - 1 - i] = back ? static_cast<float>(-beta * sum) : normal(-gamma * power);
    }
    power *= beta;
    if (i + 1 == rows) {
      const auto all = static_cast<float>(-beta * sum);
      halves()[0] = {1, back ? 0 : all, at_.rest_of_state};
      halves()[1] = {normal(power), back ? all : 0, at_.rest_of_momentum};
    }
    sum = 1 + beta * sum;
  }
}

Momentum::Readers Momentum::readers(const Worker::Rows& rows, int64_t width) const {
  const auto weighed = [&](int64_t by, int64_t to) {
    Buffer x(rows.data, width, C_, rows.stride), weights(base_ + by, C_), y(base_ + to, width, C_, width);
    call(*plan_.kernels.weigh_rows, x, weights, y);
    return Worker::Rows{base_ + to, width};
  };
  // from the first token to the last the state counts as it is
  const bool back = plan_.meaning.op->backward();
  return {back ? weighed(at_.state, at_.reads_state) : rows, weighed(at_.momentum, at_.reads_momentum)};
}

void Momentum::put(const Half& half, Buffer& k, Buffer& v, Buffer& h, Buffer& other) const {
  Buffer rest(base_ + half.rest, C_);
  float left = half.left, moved = half.other;
  call(*plan_.kernels.state, k, v, h, other, rest, left, moved, h);
}

void Momentum::advance(Buffer& k, Buffer& v, float* h, int64_t keys, int64_t columns, int64_t stride,
                       bool again) const {
  Buffer state(h, columns, keys, stride), momentum(plan_.momentum_of(h), columns, keys, stride);
  // zeros, since 0 times what is infinite is NaN
  Buffer none(base_ + at_.none, columns, keys, 0);
  Half of_state = halves()[0], of_momentum = halves()[1];
  if (again) of_state = {1, 0, of_state.rest}, of_momentum = {1, 0, of_momentum.rest};
  const auto put_state = [&] { put(of_state, k, v, state, of_state.other == 0 ? none : momentum); };
  // each is made of the other one as it was
  if (of_momentum.other == 0) put_state();
  put(of_momentum, k, v, momentum, of_momentum.other == 0 ? none : state);
  if (of_momentum.other != 0) put_state();
}

}  // namespace lathe
