#include "delta.h"

#include <algorithm>
#include <cmath>

namespace lathe {

void load_betas(const Worker& w, const char* from, int64_t stride, int64_t n, float* out) {
  const Strided raw{from, stride, w.problem()[LATHE_BETA].storage};
  const Meaning& meaning = w.plan().meaning;
  const float largest = meaning.largest_beta();
  for (int64_t i = 0; i < n; i++) out[i] = meaning.sigmoid() ? largest / (1.f + std::exp(-raw[i])) : raw[i];
  if (meaning.clamps())
    for (int64_t i = 0; i < n; i++) out[i] = out[i] < 0 ? 0 : out[i] > largest ? largest : out[i];  // NaN stays
}

void load_betas(const Worker& w, const Sequence& s, const Step& step, int64_t head, float* out) {
  const Tensor& betas = w.problem()[LATHE_BETA];
  load_betas(w, betas.at(s.batch, s.token(step.t), head), s.step * betas.stride[1], step.rows, out);
  std::fill(out + step.rows, out + w.plan().padded.C, 0.f);
}

void through_betas(const Worker& w, const char* from, int64_t stride, int64_t n, float* gradients) {
  const Strided raw{from, stride, w.problem()[LATHE_BETA].storage};
  const Meaning& meaning = w.plan().meaning;
  const float largest = meaning.largest_beta();
  for (int64_t i = 0; i < n; i++) {
    const float x = raw[i];
    if (meaning.sigmoid())
      gradients[i] *= largest / (1.f + std::exp(-x)) / (1.f + std::exp(x));
    else if (meaning.clamps() && (x < 0 || x > largest))
      gradients[i] = 0;
  }
}

DeltaRule::Parts DeltaRule::parts(const Plan& plan) {
  const Padded& d = plan.padded;
  Parts p{};
  Carver take;
  p.beta = take(d.C);
  for (int64_t* part : {&p.of_values, &p.of_keys}) *part = take(d.C * d.C);
  p.reading = take(d.C * d.K);
  p.added = take(d.C * d.V);
  p.floats = take.floats;
  return p;
}

int64_t DeltaRule::floats(const Plan& plan) { return plan.meaning.variant->corrects() ? parts(plan).floats : 0; }

DeltaRule::DeltaRule(Worker& worker) : w_(worker), plan_(worker.plan()), at_(parts(plan_)), base_(worker.delta()) {}

Worker::Rows DeltaRule::correct(const Sequence& s, const Step& step, int64_t head, const Worker::Rows& keys,
                                const Worker::Rows& values, const float* state, const Columns& columns,
                                const KeyGates* gates) const {
  float* beta = base_ + at_.beta;
  load_betas(w_, s, step, head, beta);
  return solve(beta, keys, values, state, columns, gates);
}

Worker::Rows DeltaRule::solve(const float* betas, const Worker::Rows& keys, const Worker::Rows& values,
                              const float* state, const Columns& columns, const KeyGates* gates) const {
  const Padded& d = plan_.padded;
  Buffer beta(betas, d.C), of_values(base_ + at_.of_values, d.C, d.C, d.C), of_keys(base_ + at_.of_keys, d.C, d.C, d.C),
      reading(base_ + at_.reading, d.K, d.C, d.K);
  Buffer k(keys.data, d.K, d.C, keys.stride);
  // a product that no state takes part in: rows of no width
  Buffer nothing(base_, 0, d.C, 0), empty(base_, d.K, 0, d.K);
  if (gates) {
    gates->solve(keys, beta, of_values, of_keys);
  } else {
    Buffer kt(w_.kt(), d.C, d.K, d.C), b(w_.gate(), d.C, 2, d.C);
    call(*plan_.kernels.delta_solve, k, kt, beta, b, of_values, of_keys);
  }
  Buffer v(values.data + columns.first, columns.count, d.C, values.stride);
  Buffer added(base_ + at_.added + columns.first, columns.count, d.C, d.V);
  if (state) {
    const Worker::Rows entering = gates ? gates->entering() : keys;
    Buffer read(entering.data, d.K, d.C, entering.stride);
    call(*plan_.kernels.delta_values, nothing, of_keys, read, empty, reading);
    Buffer h(state + columns.first, columns.count, d.K, d.V);
    call(*plan_.kernels.delta_values, reading, of_values, v, h, added);
  } else {
    Buffer h(base_, columns.count, 0, d.V);
    call(*plan_.kernels.delta_values, nothing, of_values, v, h, added);
  }
  return {base_ + at_.added, d.V};
}

}  // namespace lathe
