// Gradients of gates: what the kernels want of a chunk's gates, forth and back, and what the walks keep for theirs.
#include <cmath>

#include "causal_backward.h"
#include "chunk.h"

namespace lathe {

Worker::Rows CausalBackward::fill_gates(const Gradient& g, const Sequence& s, const Step& now, int64_t head) const {
  g.take_momentum(now, head);
  if (keyed()) {
    const Worker::Rows gates = gate_rows(s, now, head);
    g.take_gates(gates, head);
    return gates;
  }
  if (s.step < 0)
    fill_gate_back(now, head);
  else
    fill_gate_forth(now, head);
  return {};
}

Worker::Rows CausalBackward::gate_rows(const Sequence& s, const Step& now, int64_t head) const {
  const Tensor& gate = p_[LATHE_GATE];
  float* room = KeyGates(w_).room();
  const int64_t after = s.step < 0 && !lags() ? 1 : 0, none = after == 1 && now.t == 0 ? 1 : 0;
  const char* from = gate.at(s.batch, s.token(now.t) + after - none, head);
  const int64_t stride = s.step * gate.stride[1];
  if (now.rows == d_.C && none == 0 && !stabilise()) return key_gate_rows(w_, from, stride, d_.C, room);
  std::fill_n(room, d_.C * d_.K, 0.f);
  copy_key_gates(w_, from, stride, now.rows - none, room + none * d_.K);
  for (int64_t i = none; i < now.rows && stabilise(); i++) {
    const float fall = fallen(now.head, s.token(now.t + i) + after - s.first);
    for (int64_t key = 0; key < d_.K; key++) room[i * d_.K + key] += fall;
  }
  return {room, d_.K};
}

void CausalBackward::load_log_decays(int64_t h, int64_t t, int64_t n, int64_t head, float* out) const {
  log_decays(plan_.meaning, p_, forth_.batch, forth_.first + t, n, head, out, w_.dt());
  for (int64_t i = 0; i < n && stabilise(); i++) out[i] += fallen(h, t + i);
}

void CausalBackward::fill_gate_forth(const Step& now, int64_t head) const {
  if (!plan_.meaning.gated()) return;
  float* rows = w_.at(b_.row);
  load_log_decays(now.head, now.t, now.rows, head, rows);
  Chunk(w_, forth_).fill_gate(rows, now.rows);
}

void CausalBackward::fill_gate_back(const Step& now, int64_t head) const {
  if (!plan_.meaning.gated()) return;
  float *rows = w_.at(b_.row), *of_tokens = rows + d_.C;
  const int64_t last = back_.token(now.t), after = now.t == 0 ? 0 : 1, n = now.rows - 1 + after,
                begin = last + after - n + 1;
  Gradient(w_, back_).load_steps(begin, 1, n, head);
  load_log_decays(now.head, begin - back_.first, n, head, of_tokens);
  if (after == 0) rows[0] = 0;
  std::reverse_copy(of_tokens, of_tokens + n, rows + 1 - after);
  Chunk(w_, back_).fill_gate(rows, now.rows);
}

void CausalBackward::first_left(int64_t h, int64_t value, float* left) const {
  const int64_t head = value_head(h, value);
  std::fill_n(left, d_.K, 0.f);
  if (forth_.queries > 0 && keyed() && !lags())
    copy_key_gates(w_, p_[LATHE_GATE].at(forth_.batch, forth_.first, head), 0, 1, left);
  if (forth_.queries > 0 && !keyed() && plan_.meaning.gated()) {
    Gradient(w_, forth_).load_steps(forth_.first, 1, 1, head);
    log_decays(plan_.meaning, p_, forth_.batch, forth_.first, 1, head, left, w_.dt());
    std::fill_n(left, d_.K, left[0]);
  }
  const float below_peak = left_of_state(h, std::min<int64_t>(forth_.queries, 1));
  for (int64_t key = 0; key < d_.K; key++) left[key] = std::exp(left[key]) * below_peak;
}

void CausalBackward::keep_products(const Gradient& g, const Step& now, int64_t value, const Tile& q,
                                   const Worker::Room& dq) const {
  if (keyed())
    return g.add_products({product_rows(now.head, value) + now.t * d_.K, d_.K}, q, Gradient::rows_of(dq, d_.K),
                          g.ones());
  float *dots = w_.at(b_.row), *all = products(now.head, value) + now.t;
  g.dots(q, dq, dots);
  for (int64_t i = 0; i < now.rows; i++) all[i] += dots[i];
}

void CausalBackward::give_last_state(int64_t h, int64_t value) const {
  const float *last = w_.state(carried(h), value), *gradient = transposed(h, value);
  if (keyed()) std::fill_n(given_bonus(h, value), d_.K, 0.f);
  double all = 0;
  for (int64_t key = 0; key < d_.K; key++) {
    double sum = 0;
    for (int64_t x = 0; x < d_.V; x++) sum += static_cast<double>(last[x * d_.K + key]) * gradient[key * d_.V + x];
    if (keyed()) given_keys(h, value)[key] = sum;
    all += sum;
  }
  if (!keyed()) given(h, value).gate = all;
}

void CausalBackward::add_own(const Gradient& g, const Step& now, int64_t query, const Rows& rows, const Tile& out,
                             bool first) const {
  float *own = w_.at(b_.own), *dots = w_.at(b_.row), *of_denominators = w_.inv();
  if (first) std::fill_n(own, d_.C * d_.K, 0.f);
  g.dots(rows.v, {const_cast<float*>(out.data), out.stride}, dots);
  if (normalise()) take(denominators(now.head, query), back_, now, of_denominators);
  for (int64_t i = 0; i < now.rows && normalise(); i++) dots[i] += of_denominators[i];
  g.add_products({own, d_.K}, rows.q, rows.k, dots);
}

void CausalBackward::finish_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys,
                                  const Worker::Room& dk) const {
  if (keyed()) return finish_key_gates(g, now, value, keys, dk);
  const int64_t h = now.head, head = value_head(h, value);
  float* dots = w_.at(b_.row);
  g.dots(keys, dk, dots);
  Given& sums = given(h, value);
  for (int64_t i = 0; i < now.rows; i++) {
    const int64_t token = back_.token(now.t + i);
    sums.gate += static_cast<double>(products(h, value)[token - back_.first]) - dots[i];
    dots[i] = clamped(token, head) ? 0 : static_cast<float>(sums.gate);
    if (!steps()) sums.decay += dots[i];
  }
  if (steps()) return finish_steps(g, now, value, dots);
  g.finish_tokens(LATHE_GATE, now, head, dots);
}

void CausalBackward::finish_key_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys,
                                      const Worker::Room& dk) const {
  const int64_t h = now.head, K = d_.K, head = value_head(h, value);
  // of the chunk's last token first
  const int64_t last = back_.token(now.t) - back_.first;
  const float* products = product_rows(h, value) + last * K;
  int64_t stride = -K;
  if (now.rows < d_.C) {
    float* rows = w_.at(b_.weighed);
    std::fill_n(rows, d_.C * K, 0.f);
    for (int64_t i = 0; i < now.rows; i++) std::copy_n(products - i * K, K, rows + i * K);
    products = rows;
    stride = K;
  }
  const Tile own = lags() ? Gradient::rows_of(w_.at(b_.own), K) : Tile{w_.at(b_.zeros), 0, K};
  float* rows = w_.at(b_.row);
  g.key_gate_rows(products, stride, keys, dk, {own.data, own.stride}, given_keys(h, value), rows);
  if (lags()) g.sum_rows(own, given_bonus(h, value));
  const Tensor& gate = p_[LATHE_GATE];
  for (int64_t i = 0; i < now.rows && plan_.meaning.clamps(); i++) {
    const Strided given{gate.at(back_.batch, back_.token(now.t + i), head), 1, gate.storage};
    for (int64_t key = 0; key < p_.sizes.K; key++)
      if (given[key] > 0) rows[i * K + key] = 0;
  }
  g.finish_key_gates(now, head, rows);
}

bool CausalBackward::clamped(int64_t token, int64_t head) const {
  if (!plan_.meaning.clamps()) return false;
  const Tensor& g = p_[LATHE_GATE];
  return (g.present() ? widened(g.storage, g.at(back_.batch, token, head)) : *p_[LATHE_DECAY].floats(head)) > 0;
}

}  // namespace lathe
