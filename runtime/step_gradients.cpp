// Gradients of what stands around the scan of `ssd`: steps, their bias, SKIP and OUT_GATE.
#include <cmath>

#include "causal_backward.h"

namespace lathe {

void CausalBackward::finish_out_gates(const Gradient& g, const Step& now, int64_t l, const Rows& rows) const {
  const int64_t h = now.head, value = group_.value_of(l);
  const Worker::Room o{w_.o(), d_.V};
  g.turn(rows.k);
  g.attend(rows.q, rows.v, transposed(h, value), o);
  g.turn(rows.v);
  if (normalise()) g.weigh(Gradient::rows_of(o, d_.V), w_.inv(), o);
  g.finish_out_gates(now, output_head(h, l), value_head(h, value), o);
}

void CausalBackward::add_skipped(const Gradient& g, const Tile& out, bool first) const {
  float* skipped = w_.at(b_.skipped);
  if (first) std::fill_n(skipped, d_.C * d_.V, 0.f);
  g.add({skipped, d_.V}, out, g.ones());
}

void CausalBackward::take_steps(const Gradient& g, const Step& now, int64_t value, const Worker::Room& dv) const {
  const int64_t head = value_head(now.head, value);
  const Tile raw = g.raw_values(now, head), skipped = Gradient::rows_of(w_.at(b_.skipped), d_.V);
  float *by_steps = w_.at(b_.own), *dots = w_.at(b_.row);
  g.dots(raw, dv, by_steps);
  g.weigh(Gradient::rows_of(dv, d_.V), w_.dt(), dv);
  if (p_[LATHE_SKIP].present()) {
    g.add_skip(dv, skipped, head);
    g.dots(raw, {w_.at(b_.skipped), d_.V}, dots);
    for (int64_t i = 0; i < now.rows; i++) given(now.head, value).skip += dots[i];
  }
}

void CausalBackward::finish_steps(const Gradient& g, const Step& now, int64_t value, const float* of_decays) const {
  const int64_t head = value_head(now.head, value);
  float* by_steps = w_.at(b_.own);
  const Strided bias = bias_of_steps(p_, head, 0);
  const Tensor& steps = p_[LATHE_DT];
  Given& sums = given(now.head, value);
  for (int64_t i = 0; i < now.rows; i++) {
    const float dt = w_.dt()[i];
    sums.decay += dt * of_decays[i];
    float d = by_steps[i] + *p_[LATHE_DECAY].floats(head) * of_decays[i];
    if (plan_.meaning.softplus())
      d *= -std::expm1(-dt);  // the sigmoid of what softplus was taken of
    else if (plan_.meaning.clamps() &&
             widened(steps.storage, steps.at(back_.batch, back_.token(now.t + i), head)) + bias[i] < 0)
      d = 0;
    sums.bias += d;
    by_steps[i] = d;
  }
  g.finish_tokens(LATHE_DT, now, head, by_steps);
}

}  // namespace lathe
