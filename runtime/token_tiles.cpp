#include "token_tiles.h"

#include <algorithm>
#include <cstring>

#include "../generators/stretch.h"
#include "ahead.h"

namespace lathe {

namespace {

// A multiple of what every kernel takes.
constexpr int64_t kAtOnce = kFewSums;

// Addresses that the calls of a step ask for, at most.
constexpr int64_t kMostAsked = 4096;

}  // namespace

TokenTiles::Parts TokenTiles::parts(const Plan& plan) {
  const Padded& d = plan.padded;
  Parts p{};
  Carver take;
  p.z = take(d.K);
  for (int64_t* part : {&p.own, &p.inv}) *part = take(d.C + 16);
  p.state = take(plan.sizes.out_heads() > plan.sizes.state_heads() ? d.K * d.V : 0);
  const bool rank_one = plan.meaning.variant->rank_one();
  const int64_t few = plan.meaning.variant->reads_state() ? plan.kernels.recurrence->row_grain : 0;
  p.beta = take(few > 0 ? d.C : 0);
  p.pairs = take(few * d.C);
  p.by_rows = take(rank_one ? few * d.C : 0);
  p.asked = take(2 * std::max(kMostAsked, d.K / kLinesAsked + 1));
  for (int64_t* part : {&p.reads, &p.adds}) *part = take(rank_one ? d.C * d.K : 0);
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
      tokens_((step.rows + kAtOnce - 1) / kAtOnce * kAtOnce),
      lag_(plan_.meaning.variant->reads_before() ? 1 : 0),
      at_(parts(plan_)),
      base_(worker.recurrence()),
      gates_(worker, s, step, tokens_) {}

void TokenTiles::take(const Chunk& chunk, int64_t head, const Worker::Rows& keys, const Worker::Rows& values,
                      float before) {
  gates_.take(chunk, head, keys, values, before);
  const bool mild = gates_.mild();
  kernel_ = mild ? plan_.kernels.recurrence : plan_.kernels.recurrence_keys;
  if (corrects()) correct(head);
  if (exchanges()) exchange(head);
  if (moves()) moved_ = moved_by_decay(plan_, w_.problem(), head);
}

void TokenTiles::correct(int64_t head) {
  load_betas(w_, s_, step_, head, base_ + at_.beta);
  reading_ = gates_.reading(gates_.mapped_keys());
  pair_up(gates_.keys(), at_.pairs);
  reading_ = gates_.reading_at_once(reading_, kernel_->row_grain);
}

void TokenTiles::exchange(int64_t head) {
  const int64_t K = plan_.padded.K;
  std::fill_n(base_ + at_.beta, tokens_, 1.f);
  reading_ = gates_.reading(w_.unmapped(LATHE_A, step_, s_, head, K, base_ + at_.reads));
  added_ = gates_.added(w_.unmapped(LATHE_B, step_, s_, head, K, base_ + at_.adds));
  pair_up(gates_.keys(), at_.pairs);
  pair_up(added_, at_.by_rows);
  reading_ = gates_.reading_at_once(reading_, kernel_->row_grain);
}

void TokenTiles::pair_up(const Worker::Rows& added, int64_t to) const {
  const int64_t K = plan_.padded.K, few = kernel_->row_grain;
  Buffer k(added.data, K, tokens_, added.stride), reading(reading_.data, K, tokens_, reading_.stride);
  Buffer beta(base_ + at_.beta, tokens_), pairs(base_ + to, few - 1, tokens_, few);
  if (const float* wholes = gates_.wholes()) {
    int32_t seen = gates_.seen();
    Buffer whole(wholes, K, tokens_ + 1, K);
    call(*plan_.kernels.recurrence_pairs_keys, k, reading, beta, whole, seen, pairs);
  } else {
    call(*plan_.kernels.recurrence_pairs, k, reading, beta, pairs);
    gates_.weigh_pairs(base_ + to, few);
  }
  // what is no token takes nothing, not even of a NaN
  std::fill(base_ + to + step_.rows * few, base_ + to + tokens_ * few, 0.f);
}

void TokenTiles::weigh(const Worker::Rows& queries, const Worker::Rows& factored, const float* z) const {
  const int64_t K = plan_.padded.K;
  float* inv = base_ + at_.inv;
  Buffer own(base_ + at_.own, tokens_);
  int32_t lag = lag_, at_least = plan_.meaning.denom_max();
  if (lag == 1) {
    const Worker::Rows& keys = gates_.mapped_keys();
    Buffer x(queries.data, K, tokens_, queries.stride), y(keys.data, K, tokens_, keys.stride), by(gates_.bonus(), K);
    call(*plan_.kernels.weighed_dots, x, y, by, own);
  }
  if (!plan_.meaning.normalise()) {
    std::fill_n(inv, tokens_, 1.f);
  } else {
    const Worker::Rows added = gates_.keys(), a = gates_.steps_of_sums();
    float eps = plan_.meaning.eps;
    float* sum = base_ + at_.z;
    std::copy_n(z, K, sum);
    Buffer h(sum, kLanes, K / kLanes, kLanes);
    for (int64_t t = 0, n; t < tokens_; t += n) {
      n = stretch(t, tokens_);
      const auto rows = [&](const Worker::Rows& all) { return Buffer(all.data + t * all.stride, K, n, all.stride); };
      Buffer q = rows(factored), k = rows(added), steps = rows(a), of_own(base_ + at_.own + t, n),
             over(inv + t, kFewSums);
      call(*plan_.kernels.recurrence_sums, q, k, steps, of_own, h, lag, eps, at_least, over, h);
      if (const float* factors = gates_.leaves_of_sums(t + n))
        for (int64_t key = 0; key < K; key++) sum[key] *= factors[key];
    }
  }
  if (const float* by = gates_.outputs())
    for (int64_t t = 0; t < tokens_; t++) inv[t] *= by[t];
}

int64_t TokenTiles::stretch(int64_t t, int64_t end) const {
  return gates_.waits() > 0 ? std::min(gates_.waits(), end - t) : end - t;
}

template <typename Visit>
void TokenTiles::each_call(const Entry& kernel, int64_t begin, int64_t end, Ahead& ahead, Visit visit) const {
  if (begin == end || columns_.count == 0) return;
  const int64_t width = w_.problem().sizes.K / kLinesAsked, few = kernel.row_grain;
  const int64_t across = columns_.count / kernel.value_grain, lists = across * ((end - begin) / few);
  auto* addresses = reinterpret_cast<uint64_t*>(base_ + at_.asked);
  const int64_t each = ahead.list(lists, width, kMostAsked, addresses);
  if (each == 0) {
    std::fill_n(addresses, width + 1, reinterpret_cast<uint64_t>(addresses));
    // the few rows of narrow heads are over before parts of this would pay
    ahead.ask(0, 1);
  }
  for (int64_t t = begin, n; t < end; t += n) {
    n = stretch(t, end);
    Buffer asked(addresses + (t - begin) / few * across * each, std::max<int64_t>(each, 1), across * (n / few), each);
    visit(t, n, asked);
  }
}

void TokenTiles::leave(float* state, int64_t tokens, int64_t end) const {
  const float* factors = gates_.leaves(tokens < end ? tokens : tokens_);
  if (!factors) return;
  const int64_t K = w_.problem().sizes.K;
  Buffer h(state + columns_.first, columns_.count, K, plan_.padded.V), by(factors, K);
  call(*plan_.kernels.weigh_rows, h, by, h);
}

void TokenTiles::outputs(const Worker::Rows& queries, float* state, const float* z, bool last, int64_t head,
                         Ahead& ahead) {
  const Padded& d = plan_.padded;
  const Tensor& o = w_.problem()[LATHE_O];
  const Worker::Rows q_rows = gates_.queries(queries);
  weigh(queries, q_rows, z);
  if (columns_.count == 0) return;
  float* after = last ? state : base_ + at_.state;
  char* to = o.at(s_.batch, s_.token(step_.t), head);
  int64_t stride;
  float* rows_out = w_.output_rows(to, step_.rows, stride);
  // real keys only: zero times an infinite value is NaN
  const int64_t K = w_.problem().sizes.K;
  const Worker::Rows keys = gates_.keys(), values = gates_.values(), steps = gates_.steps();
  // what other queries will read too stays as it is
  for (int64_t key = 0; key < K && !last; key++)
    std::copy_n(state + key * d.V + columns_.first, columns_.count, after + key * d.V + columns_.first);
  const int64_t x = columns_.first, across = kernel_->value_grain, few = kernel_->row_grain;
  Buffer q(q_rows.data, K, 0, q_rows.stride), k(keys.data, K, 0, keys.stride), a(steps.data, K, 0, steps.stride);
  Buffer v(values.data, columns_.count, 0, values.stride), out(rows_out, across, few, stride);
  Buffer h(after + x, across, K, d.V), p(moves() ? plan_.momentum_of(state) + x : nullptr, across, K, d.V);
  Buffer reading(reading_.data, K, 0, reading_.stride), b(added_.data, K, 0, added_.stride);
  Buffer pairs(base_ + at_.pairs, few - 1, 0, few), by_rows(base_ + at_.by_rows, few - 1, 0, few);
  Buffer inv(base_ + at_.inv, 0), own(base_ + at_.own, 0), beta(base_ + at_.beta, 0), weight(gates_.weights(), 0);
  const auto take = [&](const Entry& kernel, int64_t t, int64_t n, Buffer& asked) {
    const auto rows = [&](Buffer& all, const Worker::Rows& from) { all.move_to(from.data + t * from.stride, K, n); };
    rows(q, q_rows);
    rows(k, keys);
    if (!gates_.mild()) rows(a, steps);
    v.move_to(values.data + x + t * values.stride, columns_.count, n);
    weight.move_to(gates_.weights() + t, n);
    out.move_to(rows_out + x + t * stride, across, kernel.row_grain);
    inv.move_to(base_ + at_.inv + t, n);
    own.move_to(base_ + at_.own + t, n);
    if (reads_state()) {
      rows(reading, reading_);
      rows(b, added_);
      beta.move_to(base_ + at_.beta + t, n);
      pairs.move_to(base_ + at_.pairs + t * few, few - 1, n);
      by_rows.move_to(base_ + at_.by_rows + t * few, few - 1, n);
    }
    Arguments args;
    args.add(q, k, v);
    if (!moves()) args.add(weight);
    args.add(inv, h);
    if (moves()) args.add(p, moved_.kept, moved_.taken);
    if (reads_state()) args.add(reading);
    if (!gates_.mild()) args.add(a);
    if (corrects()) args.add(beta, pairs);
    if (exchanges()) args.add(b, pairs, by_rows);
    if (lag_ == 1) args.add(own);
    args.add(asked, out, h);
    if (moves()) args.add(p);
    args.call(kernel);
  };
  // of what reads the state no tile is without a token: 0 times NaN is no 0; and a momentum moves on where there is
  // none
  const int64_t end = reads_state() ? (step_.rows + few - 1) / few * few : moves() ? step_.rows / few * few : tokens_;
  each_call(*kernel_, 0, end, ahead, [&](int64_t t, int64_t n, Buffer& asked) {
    take(*kernel_, t, n, asked);
    leave(after, t + n, end);
  });
  if (const Entry* one = plan_.kernels.recurrence_one; one && end < step_.rows)
    each_call(*one, end, step_.rows, ahead, [&](int64_t t, int64_t n, Buffer& asked) { take(*one, t, n, asked); });
  if (plan_.meaning.variant->steps()) {
    const int64_t value_head = Group{w_.problem().sizes, plan_.meaning.tiled()}.state_of(head);
    w_.finish(s_, step_.t, step_.rows, head, value_head, rows_out, stride, columns_);
  }
  w_.store(rows_out, stride, to, o.stride[1], step_.rows, columns_);
}

void TokenTiles::advance_z(float* z) const { std::memcpy(z, base_ + at_.z, static_cast<size_t>(plan_.padded.K) * 4); }

void TokenTiles::carry(float* state, Ahead& ahead) const {
  const bool mild = gates_.mild();
  const Entry& kernel = mild ? *plan_.kernels.recurrence_state : *plan_.kernels.recurrence_keys;
  const int64_t K = w_.problem().sizes.K, across = kernel.value_grain, few = kernel.row_grain;
  const Worker::Rows keys = gates_.keys(), values = gates_.values(), steps = gates_.steps();
  each_call(kernel, 0, tokens_, ahead, [&](int64_t t, int64_t n, Buffer& asked) {
    const int64_t x = columns_.first;
    const auto rows = [&](const Worker::Rows& all) { return Buffer(all.data + t * all.stride, K, n, all.stride); };
    Buffer k = rows(keys), v(values.data + x + t * values.stride, columns_.count, n, values.stride), a = rows(steps);
    Buffer h(state + x, across, K, plan_.padded.V);
    Buffer weight(gates_.weights() + t, n), any(base_ + at_.inv, n), nowhere(w_.o(), across, few, plan_.padded.V);
    if (mild)
      call(kernel, k, v, weight, h, asked, h);
    else if (lag_ == 1)
      call(kernel, k, k, v, weight, any, h, a, any, asked, nowhere, h);
    else
      call(kernel, k, k, v, weight, any, h, a, asked, nowhere, h);
    leave(state, t + n, tokens_);
  });
}

void TokenTiles::carry_z(float* z) const {
  weigh(gates_.mapped_keys(), gates_.keys(), z);
  advance_z(z);
}

void recur(Worker& w, const Sequence& s, const Unit& unit, const Columns& columns, bool outputs, const Step& now,
           const Step& next) {
  const Plan& plan = w.plan();
  const Sizes& sizes = w.problem().sizes;
  const Group group{sizes, plan.meaning.tiled()};
  const Chunk chunk(w, s, columns);
  TokenTiles tokens(w, s, now, columns);
  const auto carried = static_cast<size_t>(now.head);
  const int64_t key_head = unit.head + now.head;

  const float before = w.peak(carried);
  const Worker::Rows keys = chunk.keys(now, key_head, w.peak(carried));
  Ahead ahead = Ahead::of_scan(w, s, next, unit.head + next.head, outputs);
  MappedQueries queries(w, s, now);
  for (int64_t value = 0; value < group.values(); value++) {
    const int64_t value_head = group.head(sizes.HV, key_head, value);
    float* state = w.state(carried, value);
    tokens.take(chunk, value_head, keys, chunk.values(now, value_head), before);
    if (!outputs) tokens.carry(state, ahead);
    for (int64_t l = 0, left = group.outputs() / group.values(); outputs && l < group.outputs(); l++) {
      if (group.value_of(l) != value) continue;
      const int64_t query_head = group.head(sizes.HQ, key_head, group.query_of(l));
      tokens.outputs(queries.of(query_head), state, w.z(carried), --left == 0,
                     group.head(sizes.out_heads(), key_head, l), ahead);
    }
  }
  if (!plan.meaning.normalise()) return;
  if (outputs)
    tokens.advance_z(w.z(carried));
  else
    tokens.carry_z(w.z(carried));
}

}  // namespace lathe
