#include "key_gates.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe {

void copy_key_gates(Worker& w, const char* from, int64_t stride, int64_t rows, float* out) {
  const int64_t K = w.problem().sizes.K, padded = w.plan().padded.K;
  for (int64_t i = 0; i < rows && K < padded; i++)
    std::memset(out + i * padded + K, 0, static_cast<size_t>(padded - K) * 4);
  w.widen(w.problem()[LATHE_GATE].storage, from, stride, rows, K, out, padded);
  if (w.plan().meaning.clamps())
    for (int64_t i = 0; i < rows * padded; i++) out[i] = std::min(out[i], 0.f);
}

Worker::Rows key_gate_rows(Worker& w, const char* from, int64_t stride, int64_t rows, float* room) {
  const int64_t K = w.plan().padded.K;
  const bool whole = w.problem()[LATHE_GATE].storage == Storage::kF32 && w.problem().sizes.K == K;
  if (whole && !w.plan().meaning.clamps() && near_either_way(stride, rows))
    return {reinterpret_cast<const float*>(from), stride};
  copy_key_gates(w, from, stride, rows, room);
  return {room, K};
}

void load_bonus(const Worker& w, int64_t head, float* out) {
  const Tensor& bonus = w.problem()[LATHE_BONUS];
  const int64_t K = w.problem().sizes.K, padded = w.plan().padded.K;
  std::fill_n(out, padded, bonus.present() ? 0.f : 1.f);
  if (bonus.present()) std::memcpy(out, bonus.floats(head), static_cast<size_t>(K) * 4);
}

KeyGates::Parts KeyGates::parts(const Plan& plan) {
  const int64_t K = plan.padded.K, C = plan.padded.C;
  Parts p{};
  Carver take;
  for (int64_t* part : {&p.g, &p.down, &p.kept, &p.columns, &p.entering, &p.near, &p.up}) *part = take(C * K);
  p.sums = take(plan.meaning.op->backward() ? C * K : 0);
  p.later = take(plan.meaning.op->backward() ? K : 0);
  for (int64_t* part : {&p.whole, &p.rest}) *part = take((C + 1) * K);
  for (int64_t* part : {&p.left, &p.rise, &p.bonus}) *part = take(K);
  p.pairs = take(C * C);
  p.floats = take.floats;
  return p;
}

int64_t KeyGates::floats(const Plan& plan) { return plan.meaning.variant->keyed() ? parts(plan).floats : 0; }

KeyGates::KeyGates(Worker& worker)
    : w_(worker),
      plan_(worker.plan()),
      K_(plan_.padded.K),
      C_(plan_.padded.C),
      lag_(plan_.meaning.variant->reads_before() ? 1 : 0),
      at_(parts(plan_)),
      base_(worker.key_gates()) {}

void KeyGates::take(const Sequence& s, const Step& step, int64_t head, const Worker::Rows& keys, float before) const {
  load(s, step, head, before);
  take_keys(keys);
  turn();
}

void KeyGates::load(const Sequence& s, const Step& step, int64_t head, float before) const {
  const float* peaks = plan_.meaning.stabilise() ? w_.peaks() : nullptr;
  float peak = peaks && std::isinf(before) ? peaks[0] : before;
  const Tensor& gate = w_.problem()[LATHE_GATE];
  const char* from = gate.at(s.batch, s.first + step.t, head);
  float* room = base_ + at_.g;
  Worker::Rows g{room, K_};
  if (step.rows == C_ && !peaks) {
    g = key_gate_rows(w_, from, gate.stride[1], C_, room);
  } else {
    copy_key_gates(w_, from, gate.stride[1], step.rows, room);
    std::fill(room + step.rows * K_, room + C_ * K_, 0.f);
  }
  for (int64_t i = 0; i < C_ && peaks; i++) {
    const float fallen = peak - peaks[i];
    for (int64_t key = 0; key < K_; key++) room[i * K_ + key] += fallen;
    peak = peaks[i];
  }
  take_gates(g, head);
}

void KeyGates::take_gates(const Worker::Rows& g, int64_t head) const {
  load_bonus(w_, head, base_ + at_.bonus);
  Buffer gates(g.data, K_, C_, g.stride), rest = rows(at_.rest, C_ + 1), whole = rows(at_.whole, C_ + 1);
  Buffer left(base_ + at_.left, K_), rise(base_ + at_.rise, K_);
  call(*plan_.kernels.gate_sums, gates, rest, whole, left, rise);
}

void KeyGates::take_keys(const Worker::Rows& keys) const {
  Buffer rest = rows(at_.rest, C_ + 1), whole = rows(at_.whole, C_ + 1);
  Buffer k(keys.data, K_, C_, keys.stride), down = rows(at_.down, C_), kept_keys = rows(at_.kept, C_);
  call(*plan_.kernels.gate_keys, k, whole, rest, down, kept_keys);
}

void KeyGates::turn() const {
  w_.transpose({base_ + at_.down, K_}, w_.kt());
  w_.transpose({base_ + at_.whole + K_, K_}, base_ + at_.columns);
}

void KeyGates::meet(const Worker::Rows& queries, const Worker::Rows& keys, int32_t block) const {
  int32_t lag = lag_;
  Buffer q(queries.data, K_, C_, queries.stride), k(keys.data, K_, C_, keys.stride);
  Buffer rest = rows(at_.rest, C_ + 1), whole = rows(at_.whole, C_ + 1);
  Buffer entering = rows(at_.entering, C_), near = rows(at_.near, C_), up = rows(at_.up, C_), down = rows(at_.down, C_);
  call(*plan_.kernels.gate_queries, q, whole, rest, lag, block, entering, near, up);
  Buffer bonus(base_ + at_.bonus, K_), pairs(base_ + at_.pairs, block, C_, block);
  call(*plan_.kernels.gate_pairs, up, down, whole, q, k, bonus, lag, block, pairs);
}

void KeyGates::solve(const Worker::Rows& keys, Buffer& beta, Buffer& of_values, Buffer& of_keys) const {
  const int32_t block = plan_.kernels.delta_solve->row_grain;
  meet(keys, keys, block);
  Buffer near = rows(at_.near, C_), keys_across(w_.kt(), C_, K_, C_), columns(base_ + at_.columns, C_, K_, C_);
  Buffer reached(base_ + at_.whole, K_, C_ / block, K_ * block), pairs(base_ + at_.pairs, block, C_, block);
  call(*plan_.kernels.delta_solve, near, keys_across, beta, columns, reached, pairs, of_values, of_keys);
}

void KeyGates::outputs(const Worker::Rows& queries, const Worker::Rows& keys, Buffer& v, Buffer& h, Buffer& out) const {
  const int32_t block = plan_.kernels.causal->row_grain;
  meet(queries, keys, block);
  Buffer entering = rows(at_.entering, C_), near = rows(at_.near, C_), pairs(base_ + at_.pairs, block, C_, block);
  Buffer keys_across(w_.kt(), C_, K_, C_), columns(base_ + at_.columns, C_, K_, C_);
  Buffer reached(base_ + at_.whole, K_, C_ / block, K_ * block);
  call(*plan_.kernels.causal, entering, keys_across, v, h, near, columns, reached, pairs, out);
}

void KeyGates::columns(Buffer& q, Buffer& kt, const Worker::Rows& v, Buffer& h, Buffer& out) const {
  int32_t lag = lag_;
  Buffer raw(v.data, K_, C_, v.stride), down = rows(at_.down, C_), bonus(base_ + at_.bonus, K_);
  Buffer rest = rows(at_.rest, C_ + 1), whole = rows(at_.whole, C_ + 1);
  call(*plan_.kernels.causal_columns, q, kt, raw, down, h, bonus, whole, rest, lag, out);
}

void KeyGates::running_sums(const Worker::Rows& keys, const Worker::Rows& gates, float* z, float* seen) const {
  int32_t lag = lag_;
  Buffer k(keys.data, K_, C_, keys.stride), before(z, K_), g(gates.data, K_, C_, gates.stride);
  Buffer bonus(base_ + at_.bonus, K_), sums = rows(at_.sums, C_), out(seen, K_, C_, K_);
  call(*plan_.kernels.running_key_sums, k, before, g, bonus, lag, sums, out);
  std::memcpy(z, base_ + at_.sums + (C_ - 1) * K_, static_cast<size_t>(K_) * 4);
}

void KeyGates::gradients(const float* products, int64_t stride, const Worker::Rows& keys, const Worker::Rows& dk,
                         const Worker::Rows& own, double* later, float* out) const {
  int32_t lag = lag_;
  float *before = base_ + at_.later, *sums = base_ + at_.sums;
  for (int64_t key = 0; key < K_; key++) before[key] = static_cast<float>(later[key]);
  Buffer of_queries(products, K_, C_, stride), k(keys.data, K_, C_, keys.stride), of_keys(dk.data, K_, C_, dk.stride);
  Buffer by_bonus(own.data, K_, C_, own.stride), bonus(base_ + at_.bonus, K_), earlier(before, K_),
      all(sums, K_, C_, K_), g(out, K_, C_, K_);
  call(*plan_.kernels.gate_gradients, of_queries, k, of_keys, by_bonus, bonus, earlier, lag, all, g);
  for (int64_t key = 0; key < K_; key++) later[key] += sums[(C_ - 1) * K_ + key];
}

void KeyGates::advance(int64_t first, int64_t keys, Buffer& k, Buffer& v, Buffer& h, Buffer& h_out) const {
  Buffer left(base_ + at_.left + first, keys), rise(base_ + at_.rise + first, keys);
  call(*plan_.kernels.state, k, v, h, left, rise, h_out);
}

}  // namespace lathe
