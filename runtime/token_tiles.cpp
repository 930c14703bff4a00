#include "token_tiles.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "chunk.h"

namespace lathe {

namespace {

// Tokens of a call: between calls memory is asked for what comes next. A multiple of what every kernel takes.
constexpr int64_t kAtOnce = 8;

}  // namespace

TokenTiles::Parts TokenTiles::parts(const Plan& plan) {
  const Padded& d = plan.padded;
  Parts p{};
  Carver take;
  for (int64_t* part : {&p.queries, &p.keys, &p.steps}) *part = take(d.C * d.K);
  for (int64_t* part : {&p.leaving, &p.ones}) *part = take(d.K);
  p.sums = take((d.C + 1) * d.K);
  p.z = take(d.K);
  for (int64_t* part : {&p.own, &p.inv}) *part = take(d.C + 16);
  // a chunk's outputs, so far from a state that whole rows lie between them, and a state
  p.rows = take((d.C + 1) * d.V + d.K * d.V);
  p.floats = take.floats;
  return p;
}

int64_t TokenTiles::floats(const Plan& plan) { return plan.kernels.recurrence ? parts(plan).floats : 0; }

TokenTiles::TokenTiles(Worker& worker, const Sequence& s, const Step& step, const Columns& columns)
    : w_(worker),
      plan_(worker.plan()),
      s_(s),
      step_(step),
      columns_(columns),
      few_(plan_.kernels.recurrence->row_grain),
      tokens_((step.rows + few_ - 1) / few_ * few_),
      lag_(plan_.meaning.variant->reads_before() ? 1 : 0),
      at_(parts(plan_)),
      base_(worker.recurrence()),
      gates_(worker) {
  if (!plan_.meaning.normalise()) std::fill_n(base_ + at_.inv, plan_.padded.C, 1.f);
}

float TokenTiles::peak_of(const Worker::Rows& rows, int64_t width) const {
  std::array<float, 16> peaks{};
  Buffer x(rows.data, width, tokens_, rows.stride), y(peaks.data(), peaks.size());
  call(*plan_.kernels.peaks, x, y);
  return *std::max_element(peaks.begin(), peaks.end());
}

void TokenTiles::factors(const Worker::Rows& from, float sign, int32_t seen, int64_t to) const {
  const int64_t K = plan_.padded.K, each = together();
  const KeyGates::Sums b = gates_.sums();
  float wholes = mild() ? sign : 0;
  for (int64_t t = 0; t < tokens_; t += each) {
    const int64_t n = std::min(each, tokens_ - t);
    Buffer x(from.data + t * from.stride, K, n, from.stride), y(base_ + to + t * K, K, n, K);
    Buffer whole(b.whole + t * K, K, n + 1, K), rest(b.rest + t * K, K, n + 1, K);
    call(*plan_.kernels.gate_factors, x, whole, rest, sign, wholes, seen, y);
  }
}

const float* TokenTiles::leaves_after(int64_t tokens) const {
  const float* steps = base_ + at_.steps;
  if (tokens == tokens_) return base_ + at_.leaving;
  return mild() && tokens % waits_ == 0 ? steps + (tokens / waits_ - 1) * plan_.padded.K : nullptr;
}

int64_t TokenTiles::patience(float added) const {
  const int64_t K = plan_.padded.K;
  // what is added to a state that waits is larger by what gates will take of it, and must not leave float32
  constexpr float most = 24, largest = 1e28f;
  if (!(added < largest)) return 0;
  const float* whole = gates_.sums().whole;
  const auto mild = [&](int64_t from, int64_t to) {
    bool all = true;
    for (int64_t key = 0; key < K; key++) all &= whole[to * K + key] - whole[from * K + key] >= -most;  // no NaN is
    return all;
  };
  const int64_t C = plan_.padded.C;
  for (int64_t waits : {C, 2 * kAtOnce, kAtOnce}) {
    bool all = C % waits == 0;
    for (int64_t t = 0; t < tokens_ && all; t += waits) all = mild(t, t + waits);
    if (all) return waits;
  }
  return 0;
}

void TokenTiles::take(int64_t head, const Worker::Rows& keys, const Worker::Rows& values, float before) {
  const Padded& d = plan_.padded;
  mapped_ = keys;
  values_ = values;
  gates_.load(s_, step_, head, before);
  waits_ = patience(peak_of(keys, d.K) * peak_of(values, d.V));
  kernel_ = mild() ? plan_.kernels.recurrence : plan_.kernels.recurrence_keys;
  factors(keys, -1, 1, at_.keys);
  const int64_t apart = mild() ? waits_ : 1, n = (tokens_ + apart - 1) / apart;
  Buffer whole(gates_.sums().whole, d.K, n + 1, apart * d.K), a(base_ + at_.steps, d.K, n, d.K);
  call(*plan_.kernels.gate_steps, whole, a);
  const float *rise = gates_.sums().rise, *last = base_ + at_.steps + (n - 1) * d.K;
  for (int64_t key = 0; key < d.K; key++) base_[at_.leaving + key] = mild() ? rise[key] * last[key] : rise[key];
}

void TokenTiles::weigh(const Worker::Rows& queries, const float* z) const {
  const int64_t K = plan_.padded.K;
  const KeyGates::Sums b = gates_.sums();
  Buffer own(base_ + at_.own, tokens_);
  int32_t lag = lag_, at_least = plan_.meaning.denom_max();
  if (lag == 1) {
    Buffer x(queries.data, K, tokens_, queries.stride), y(mapped_.data, K, tokens_, mapped_.stride), by(b.bonus, K);
    call(*plan_.kernels.weighed_dots, x, y, by, own);
  }
  if (!plan_.meaning.normalise()) return;
  if (mild()) std::fill_n(base_ + at_.ones, K, 1.f);
  float eps = plan_.meaning.eps;
  const int64_t each = together();
  for (int64_t t = 0; t < tokens_; t += each) {
    const int64_t n = std::min(each, tokens_ - t);
    const auto rows = [&](int64_t part) { return Buffer(base_ + part + t * K, K, n, K); };
    Buffer q = rows(at_.queries), k = rows(at_.keys), leaves(leaves_after(t + n), K),
           before(t > 0 ? base_ + at_.z : z, K);
    Buffer a(base_ + (mild() ? at_.ones : at_.steps), K, n, mild() ? 0 : K), of_own(base_ + at_.own + t, n),
        over(base_ + at_.inv + t, n);
    Buffer sums(base_ + at_.sums, K, n + 1, K), after(base_ + at_.z, K);
    call(*plan_.kernels.recurrence_sums, q, k, a, leaves, of_own, before, lag, eps, at_least, sums, over, after);
  }
}

template <typename Between>
void TokenTiles::outputs(const Worker::Rows& queries, float* state, const float* z, bool last, int64_t head,
                         Between between) const {
  const Padded& d = plan_.padded;
  const Tensor& o = w_.problem()[LATHE_O];
  const int64_t K = w_.problem().sizes.K;
  factors(queries, 1, 1 - lag_, at_.queries);
  weigh(queries, z);
  if (columns_.count == 0) return;
  float* room = base_ + at_.rows;
  if (!last) {
    float* copy = room + (d.C + 1) * d.V;
    std::memcpy(copy, state, static_cast<size_t>(d.K * d.V) * 4);
    state = copy;
  }
  char* to = o.at(s_.batch, s_.token(step_.t), head);
  int64_t stride;
  float* rows_out = w_.output_rows(to, step_.rows, stride);
  auto at = static_cast<int32_t>((state - room) / d.V);
  // a stretch of columns at a time, whose state stays in the first-level cache, and a few tokens of it: memory that is
  // asked for all at once stalls
  const int64_t across = kernel_->value_grain, stretches = (tokens_ + kAtOnce - 1) / kAtOnce;
  const int64_t parts = columns_.count / across * stretches;
  for (int64_t part = 0; part < parts; part++) {
    between(part, parts);
    const int64_t t = part % stretches * kAtOnce, x = columns_.first + part / stretches * across;
    const int64_t n = std::min(kAtOnce, tokens_ - t);
    const auto tile = [&](int64_t rows) { return Buffer(base_ + rows + t * d.K, K, n, d.K); };
    const float* factors = leaves_after(t + n);
    Buffer q = tile(at_.queries), k = tile(at_.keys), steps = tile(at_.steps),
           leaves(factors ? factors : base_, factors ? K : 0);
    Buffer v(values_.data + x + t * values_.stride, across, n, values_.stride);
    Buffer own(base_ + at_.own + t, n), inv(base_ + at_.inv + t, n);
    Buffer all(state - at * d.V + x, across, at + d.K, d.V), out(rows_out + x + t * stride, across, n, stride);
    if (lag_ == 1 && mild())
      call(*kernel_, q, k, v, leaves, inv, at, own, all, out);
    else if (lag_ == 1)
      call(*kernel_, q, k, v, leaves, inv, at, steps, own, all, out);
    else if (mild())
      call(*kernel_, q, k, v, leaves, inv, at, all, out);
    else
      call(*kernel_, q, k, v, leaves, inv, at, steps, all, out);
  }
  w_.store(rows_out, stride, to, o.stride[1], step_.rows, columns_);
}

void TokenTiles::advance_z(float* z) const { std::memcpy(z, base_ + at_.z, static_cast<size_t>(plan_.padded.K) * 4); }

void recur(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns, const Step& now, const Step& next) {
  const Plan& plan = w.plan();
  const Sizes& sizes = w.problem().sizes;
  const Group group{sizes, plan.meaning.tiled()};
  const Chunk chunk(w, s, columns);
  TokenTiles tokens(w, s, now, columns);
  const auto carried = static_cast<size_t>(now.head);
  const int64_t key_head = unit.head + now.head;

  const float before = w.peak(carried);
  const Worker::Rows keys = chunk.keys(now, key_head, w.peak(carried));
  const auto ask = [&](int64_t part, int64_t parts) {
    for (uint32_t role : {LATHE_K, LATHE_V, LATHE_Q, LATHE_O, LATHE_GATE})
      w.prefetch(role, s, next, unit.head + next.head, part, parts);
  };
  MappedQueries queries(w, s, now);
  for (int64_t value = 0; value < group.values(); value++) {
    const int64_t value_head = group.head(sizes.HV, key_head, value);
    const Worker::Rows values = chunk.values(now, value_head);
    tokens.take(value_head, keys, values, before);
    for (int64_t l = 0, left = group.outputs() / group.values(); l < group.outputs(); l++) {
      if (group.value_of(l) != value) continue;
      const int64_t query_head = group.head(sizes.HQ, key_head, group.query_of(l));
      const bool first = value == 0 && left == group.outputs() / group.values();
      tokens.outputs(queries.of(query_head), w.state(carried, value), w.z(carried), --left == 0,
                     group.head(sizes.out_heads(), key_head, l), [&](int64_t part, int64_t parts) {
                       if (first) ask(part, parts);
                     });
    }
  }
  if (plan.meaning.normalise()) tokens.advance_z(w.z(carried));
}

}  // namespace lathe
