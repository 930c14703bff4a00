#include "token_tiles.h"

#include <algorithm>
#include <cstring>

#include "../generators/stretch.h"
#include "ahead.h"

namespace lathe {

namespace {

// Tokens after which memory is asked for what comes next. A multiple of what every kernel takes.
constexpr int64_t kAtOnce = kFewSums;

// Columns of a state that its tiles take before the next tokens: as many as stay in the first-level cache. One tile may
// then begin while another ends, where its successor must wait for that.
constexpr int64_t kStretchOfState = int64_t{16} * 1024;

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
  few_ = kernel_->row_grain;
  if (corrects()) correct(head);
  if (exchanges()) exchange(head);
  if (moves()) moved_ = moved_by_decay(plan_, w_.problem(), head);
}

void TokenTiles::correct(int64_t head) {
  load_betas(w_, s_, step_, head, base_ + at_.beta);
  reading_ = gates_.reading(gates_.mapped_keys());
  pair_up(gates_.keys(), at_.pairs);
  reading_ = gates_.reading_at_once(reading_, few_);
}

void TokenTiles::exchange(int64_t head) {
  const int64_t K = plan_.padded.K;
  std::fill_n(base_ + at_.beta, tokens_, 1.f);
  reading_ = gates_.reading(w_.unmapped(LATHE_A, step_, s_, head, K, base_ + at_.reads));
  added_ = gates_.added(w_.unmapped(LATHE_B, step_, s_, head, K, base_ + at_.adds));
  pair_up(gates_.keys(), at_.pairs);
  pair_up(added_, at_.by_rows);
  reading_ = gates_.reading_at_once(reading_, few_);
}

void TokenTiles::pair_up(const Worker::Rows& added, int64_t to) const {
  const int64_t K = plan_.padded.K;
  Buffer k(added.data, K, tokens_, added.stride), reading(reading_.data, K, tokens_, reading_.stride);
  Buffer beta(base_ + at_.beta, tokens_), pairs(base_ + to, few_ - 1, tokens_, few_);
  if (const float* wholes = gates_.wholes()) {
    int32_t seen = gates_.seen();
    Buffer whole(wholes, K, tokens_ + 1, K);
    call(*plan_.kernels.recurrence_pairs_keys, k, reading, beta, whole, seen, pairs);
  } else {
    call(*plan_.kernels.recurrence_pairs, k, reading, beta, pairs);
    gates_.weigh_pairs(base_ + to, few_);
  }
  // what is no token takes nothing, not even of a NaN
  std::fill(base_ + to + step_.rows * few_, base_ + to + tokens_ * few_, 0.f);
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
    for (int64_t t = 0; t < tokens_; t += kFewSums) {
      const float* factors = gates_.leaves_of_sums(t + kFewSums);
      const auto rows = [&](const Worker::Rows& all) {
        return Buffer(all.data + t * all.stride, K, kFewSums, all.stride);
      };
      const auto sums = [&](const float* of) { return Buffer(of, kLanes, K / kLanes, kLanes); };
      Buffer q = rows(factored), k = rows(added), steps = rows(a),
             leaves(factors ? factors : base_, kLanes, factors ? K / kLanes : 0, kLanes);
      Buffer of_own(base_ + at_.own + t, kFewSums), over(inv + t, kFewSums), before = sums(t > 0 ? base_ + at_.z : z),
                                                                             after = sums(base_ + at_.z);
      call(*plan_.kernels.recurrence_sums, q, k, steps, leaves, of_own, before, lag, eps, at_least, over, after);
    }
  }
  if (const float* by = gates_.outputs())
    for (int64_t t = 0; t < tokens_; t++) inv[t] *= by[t];
}

template <typename Between, typename Tokens, typename Visit>
void TokenTiles::each_tile(int64_t few, int64_t begin, int64_t end, Between between, Tokens tokens, Visit visit) const {
  const int64_t across = kernel_->value_grain, last = columns_.first + columns_.count;
  const int64_t side = std::max<int64_t>(kStretchOfState / (plan_.padded.K * across * 4), 1) * across;
  const int64_t parts = columns_.count / across * ((end - begin) / few);
  int64_t part = 0;
  for (int64_t left = columns_.first; left < last; left += side)
    for (int64_t t = begin; t < end; t += few) {
      tokens(t);
      for (int64_t x = left; x < std::min(left + side, last); x += across) {
        between(part++, parts);
        visit(t, x);
      }
    }
}

template <typename Between>
void TokenTiles::outputs(const Worker::Rows& queries, float* state, const float* z, bool last, int64_t head,
                         Between between) {
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
  const int64_t K = w_.problem().sizes.K, across = kernel_->value_grain;
  const Worker::Rows keys = gates_.keys(), values = gates_.values(), steps = gates_.steps();
  Buffer q(q_rows.data, K, few_, q_rows.stride), k(keys.data, K, few_, keys.stride), a(steps.data, K, few_, d.K);
  Buffer v(values.data, across, few_, values.stride), out(rows_out, across, few_, stride);
  Buffer entering(state, across, K, d.V), leaving(after, across, K, d.V), moving(state, across, K, d.V);
  Buffer leaves(base_, 0), own(base_ + at_.own, few_), inv(base_ + at_.inv, few_);
  Buffer reading(reading_.data, K, few_, reading_.stride), beta(base_ + at_.beta, few_),
      pairs(base_ + at_.pairs, few_ - 1, few_, few_), by_rows(base_ + at_.by_rows, few_ - 1, few_, few_),
      b(added_.data, K, few_, added_.stride);
  const bool mild = gates_.mild();
  // of what reads the state no tile is without a token: 0 times NaN is no 0; and a momentum moves on where there is
  // none
  const int64_t end = reads_state() ? (step_.rows + few_ - 1) / few_ * few_
                      : moves()     ? step_.rows / few_ * few_
                                    : tokens_;
  Arguments args;
  args.add(q, k, v);
  if (!moves()) args.add(leaves);
  args.add(inv, entering);
  if (moves()) args.add(moving, moved_.kept, moved_.taken);
  if (reads_state()) args.add(reading);
  if (!mild) args.add(a);
  if (corrects()) args.add(beta, pairs);
  if (exchanges()) args.add(b, pairs, by_rows);
  if (lag_ == 1) args.add(own);
  args.add(out, leaving);
  if (moves()) args.add(moving);
  const auto tokens = [&](int64_t t) {
    const float* factors = gates_.leaves(t + few_ < end ? t + few_ : tokens_);
    leaves.move_to(factors ? factors : base_, factors ? K : 0);
    q.move_to(q_rows.data + t * q_rows.stride, K, few_);
    k.move_to(keys.data + t * keys.stride, K, few_);
    inv.move_to(base_ + at_.inv + t, few_);
    if (!mild) a.move_to(steps.data + t * d.K, K, few_);
    if (lag_ == 1) own.move_to(base_ + at_.own + t, few_);
    if (!reads_state()) return;
    reading.move_to(reading_.data + t * reading_.stride, K, few_);
    beta.move_to(base_ + at_.beta + t, few_);
    pairs.move_to(base_ + at_.pairs + t * few_, few_ - 1, few_);
    b.move_to(added_.data + t * added_.stride, K, few_);
    by_rows.move_to(base_ + at_.by_rows + t * few_, few_ - 1, few_);
  };
  const auto tile = [&](int64_t t, int64_t x) {
    v.move_to(values.data + x + t * values.stride, across, few_);
    entering.move_to((t == 0 ? state : after) + x, across, K);
    leaving.move_to(after + x, across, K);
    out.move_to(rows_out + x + t * stride, across, few_);
    if (moves()) moving.move_to(plan_.momentum_of(state) + x, across, K);
    args.call(*kernel_);
  };
  each_tile(few_, 0, end, between, tokens, tile);
  if (moves() && end < step_.rows) {
    few_ = 1;
    kernel_ = plan_.kernels.recurrence_one;
    each_tile(1, end, step_.rows, between, tokens, tile);
  }
  if (plan_.meaning.variant->steps()) {
    const int64_t value_head = Group{w_.problem().sizes, plan_.meaning.tiled()}.state_of(head);
    w_.finish(s_, step_.t, step_.rows, head, value_head, rows_out, stride, columns_);
  }
  w_.store(rows_out, stride, to, o.stride[1], step_.rows, columns_);
}

void TokenTiles::advance_z(float* z) const { std::memcpy(z, base_ + at_.z, static_cast<size_t>(plan_.padded.K) * 4); }

template <typename Between>
void TokenTiles::carry(float* state, Between between) const {
  const bool mild = gates_.mild();
  const Entry& kernel = mild ? *plan_.kernels.recurrence_state : *plan_.kernels.recurrence_keys;
  const int64_t real = w_.problem().sizes.K, K = plan_.padded.K, V = plan_.padded.V, across = kernel.value_grain,
                few = kernel.row_grain;
  const Worker::Rows keys = gates_.keys(), values = gates_.values(), steps = gates_.steps();
  const auto anything = [](int64_t) {};
  each_tile(few, 0, tokens_, between, anything, [&](int64_t t, int64_t x) {
    const float* factors = gates_.leaves(t + few);
    Buffer k(keys.data + t * keys.stride, real, few, keys.stride),
        leaves(factors ? factors : base_, factors ? real : 0);
    Buffer v(values.data + x + t * values.stride, across, few, values.stride), h(state + x, across, real, V);
    Buffer a(steps.data + t * K, real, few, K), any(base_ + at_.inv, few), nowhere(w_.o(), across, few, across);
    if (mild)
      call(kernel, k, v, leaves, h, h);
    else if (lag_ == 1)
      call(kernel, k, k, v, leaves, any, h, a, any, nowhere, h);
    else
      call(kernel, k, k, v, leaves, any, h, a, nowhere, h);
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
  const auto ask = [&](int64_t part, int64_t parts) { ahead.ask(part, parts); };
  MappedQueries queries(w, s, now);
  for (int64_t value = 0; value < group.values(); value++) {
    const int64_t value_head = group.head(sizes.HV, key_head, value);
    float* state = w.state(carried, value);
    tokens.take(chunk, value_head, keys, chunk.values(now, value_head), before);
    if (!outputs) tokens.carry(state, ask);
    for (int64_t l = 0, left = group.outputs() / group.values(); outputs && l < group.outputs(); l++) {
      if (group.value_of(l) != value) continue;
      const int64_t query_head = group.head(sizes.HQ, key_head, group.query_of(l));
      tokens.outputs(queries.of(query_head), state, w.z(carried), --left == 0,
                     group.head(sizes.out_heads(), key_head, l), ask);
    }
  }
  if (!plan.meaning.normalise()) return;
  if (outputs)
    tokens.advance_z(w.z(carried));
  else
    tokens.carry_z(w.z(carried));
}

}  // namespace lathe
