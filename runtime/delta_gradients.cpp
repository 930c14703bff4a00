// Gradients of the delta rule. A token adds x = beta e, where e = v - k S' is what its value differs by from what the
// decayed state S' has for its key; and its key takes from R what it gives to S, dx = k R, dv = beta dx:
//
//   (I + N beta) e = v - exp(b) K H     (I + N' beta) dx = K R + ...     N_ij = k_i.k_j exp(b_i - b_j) for j < i
//
// with N' the same walked from the last token to the first. So both are solved by one kernel, that of x with betas of 1
// and keys by their betas in place of those that are met; and dx of the plain scan's dV. A key then has two gradients,
// R x of what it adds and -S' dv of what it takes away.
#include "causal_backward.h"
#include "chunk.h"

namespace lathe {

namespace {

// Rows of a chunk the other way round.
Worker::Room reversed(const Worker::Room& x, int64_t rows) { return {x.data + (rows - 1) * x.stride, -x.stride}; }
Tile reversed(const Tile& x, int64_t rows) { return {x.data + (rows - 1) * x.stride, -x.stride, x.width}; }

}  // namespace

const float* CausalBackward::betas(const Sequence& s, const Step& now, int64_t head) const {
  float* beta = w_.at(b_.betas);
  load_betas(w_, s, now, head, beta);
  return beta;
}

Tile CausalBackward::differences_of(const Gradient& g, const Tile& keys, const float* beta, const Tile& values,
                                    const float* state) const {
  const Worker::Room by_betas{w_.at(b_.weighed), d_.K};
  g.weigh(keys, beta, by_betas);
  return g.differences(keys, Gradient::rows_of(by_betas, d_.K), values, state);
}

void CausalBackward::correct(const Gradient& g, const Step& now, const Tile& keys, int64_t value) const {
  const int64_t h = now.head, head = value_head(h, value), chunk = (forth_.queries - now.t - now.rows) / d_.C;
  const float* beta = betas(forth_, now, head);
  const Tile e = differences_of(g, keys, beta, g.values(now, head), transposed(h, value));
  g.weigh(e, beta, {taken(value), d_.V});
  for (int64_t i = 0; i < d_.C; i++)
    std::copy_n(e.data + i * e.stride, d_.V,
                differences(h, value, chunk) + (i < now.rows ? now.rows - 1 - i : i) * d_.V);
  std::copy_n(w_.state(carried(h), value), d_.K * d_.V, entered(h, value, chunk));
}

Tile CausalBackward::taken_back(const Gradient& g, const Step& now, int64_t value) const {
  const float* beta = betas(back_, now, value_head(now.head, value));
  g.weigh(Gradient::rows_of(differences(now.head, value, now.t / d_.C), d_.V), beta, {w_.v(), d_.V});
  return Gradient::rows_of(w_.v(), d_.V);
}

void CausalBackward::correct_back(const Gradient& g, const Step& now, int64_t value, const Rows& rows,
                                  const Worker::Room& dv, const Worker::Room& dk) const {
  const int64_t h = now.head, head = value_head(h, value), chunk = now.t / d_.C;
  float *beta = w_.at(b_.betas), *by = w_.inv();
  const Worker::Room minus{w_.at(b_.o), d_.V}, later{w_.at(b_.row), d_.K}, earlier{w_.at(b_.sums), d_.K};
  const Tile dx = differences_of(g, rows.k, beta, Gradient::rows_of(dv, d_.V), nullptr);
  if (p_.wants_gradient(LATHE_BETA)) {
    const Tensor& given = p_[LATHE_BETA];
    g.dots(dx, {differences(h, value, chunk), d_.V}, by);
    through_betas(w_, given.at(back_.batch, back_.token(now.t), head), -given.stride[1], now.rows, by);
    g.finish_tokens(LATHE_BETA, now, head, by);
  }
  g.weigh(dx, beta, dv);
  for (int64_t i = 0; i < d_.C; i++) by[i] = -beta[i];
  g.weigh(dx, by, minus);

  // R has less by what later keys take; their own is taken out again by finish_keys()
  g.take_keys(rows.k);
  g.turn(Gradient::rows_of(minus, d_.V));
  g.attend(rows.v, rows.k, w_.at(b_.zeros), later);
  g.add(dk, Gradient::rows_of(later, d_.K), g.ones());
  g.advance_further(rows.k, Gradient::rows_of(minus, d_.V), w_.state(carried(h), value));

  // dv S^T, in the order of tokens, the first of which may be padding
  fill_gates_forth(g, now, head);
  const Tile keys = reversed(rows.k, d_.C);
  g.take_keys(keys);
  g.turn(reversed(rows.v, d_.C));
  g.attend(reversed(Gradient::rows_of(dv, d_.V), d_.C), keys, entered(h, value, chunk), reversed(earlier, d_.C));
  if (wants_gates()) g.add(dk, Gradient::rows_of(earlier, d_.K), g.ones());
}

void CausalBackward::finish_keys(const Gradient& g, const Rows& rows, const Worker::Room& dv,
                                 const Worker::Room& dk) const {
  float* by = w_.inv();
  std::fill_n(by, d_.C, wants_gates() ? -2.f : -1.f);
  g.add(dk, Gradient::rows_of(w_.at(b_.sums), d_.K), by);
  g.dots(rows.v, dv, by);
  for (int64_t i = 0; i < d_.C; i++) by[i] *= 2;
  g.add(dk, rows.k, by);
}

void CausalBackward::fill_gates_forth(const Gradient& g, const Step& now, int64_t head) const {
  const int64_t first = back_.token(now.t + now.rows - 1), none = d_.C - now.rows;
  if (keyed()) {
    const Tensor& gate = p_[LATHE_GATE];
    const char* from = gate.at(back_.batch, first, head);
    float* room = KeyGates(w_).room();
    if (none == 0) return g.take_gates(key_gate_rows(w_, from, gate.stride[1], d_.C, room), head);
    std::fill_n(room, none * d_.K, 0.f);
    copy_key_gates(w_, from, gate.stride[1], now.rows, room + none * d_.K);
    g.take_gates({room, d_.K}, head);
  } else if (plan_.meaning.gated()) {
    float* rows = w_.at(b_.row);
    std::fill_n(rows, none, 0.f);
    log_decays(plan_.meaning, p_, back_.batch, first, now.rows, head, rows + none);
    Chunk(w_, forth_).fill_gate(rows, d_.C);
  }
}

}  // namespace lathe
