#include "gradient.h"

#include <cstring>
#include <limits>

#include "delta.h"

namespace lathe {

namespace {

// A sequence's part of a projection's gradient, for one of its key heads.
float* part_of_projection(const Plan& plan, const Problem& p, float* shared, int64_t n, int64_t key_head) {
  return shared + shared_layout(plan, p).projections + (n * p.sizes.HK + key_head) * plan.padded.M * plan.padded.D;
}

// The same of what the keys of a mixture weigh.
double* part_of_mixture(const Plan& plan, const Problem& p, float* shared, int64_t n, int64_t key_head) {
  return reinterpret_cast<double*>(shared + shared_layout(plan, p).mixtures) +
         (n * p.sizes.HK + key_head) * p.sizes.keys;
}

}  // namespace

void sum_parts(const Plan& plan, const Problem& p, float* shared) {
  const Shared layout = shared_layout(plan, p);
  const Sizes& s = p.sizes;
  const auto sum = [&](size_t offset, int64_t first, int64_t step, int64_t stride, int64_t at) {
    double all = 0;
    for (int64_t part = first; part < s.N * step; part += step)
      all += shared[offset + static_cast<size_t>(part * stride + at)];
    return static_cast<float>(all);
  };
  int64_t number = 0;
  for (uint32_t role : {LATHE_DECAY, LATHE_DT_BIAS, LATHE_SKIP}) {
    if (const Tensor& x = p[gradient_of(role)]; x.present())
      for (int64_t h = 0; h < s.state_heads(); h++)
        *x.floats(h) = sum(layout.heads, h, s.state_heads(), kNumbersOfHeads, number);
    number++;
  }
  if (const Tensor& bonus = p[gradient_of(LATHE_BONUS)]; bonus.present())
    for (int64_t h = 0; h < s.state_heads(); h++)
      for (int64_t key = 0; key < s.K; key++)
        bonus.floats(h)[key] = sum(layout.bonuses, h, s.state_heads(), plan.padded.K, key);
  if (const Tensor& mixture = p[gradient_of(LATHE_MIXTURE)]; mixture.present())
    for (int64_t h = 0; h < s.HK; h++)
      for (int64_t key = 0; key < s.keys; key++) {
        double all = 0;
        for (int64_t n = 0; n < s.N; n++) all += part_of_mixture(plan, p, shared, n, h)[key];
        mixture.floats(h)[key] = static_cast<float>(all);
      }
  const Tensor& w = p[gradient_of(LATHE_PROJECTION)];
  if (!w.present()) return;
  const int64_t stride = plan.padded.M * plan.padded.D;
  for (int64_t h = 0; h < (w.rank == 3 ? s.HK : 1); h++)
    for (int64_t m = 0; m < s.M; m++)
      for (int64_t d = 0; d < s.D; d++) {
        const int64_t at = m * plan.padded.D + d;
        if (w.rank == 3) {
          w.floats(h, m)[d] = sum(layout.projections, h, s.HK, stride, at);
          continue;
        }
        double all = 0;
        for (int64_t head = 0; head < s.HK; head++) all += sum(layout.projections, head, s.HK, stride, at);
        w.floats(m)[d] = static_cast<float>(all);
      }
}

Tile Gradient::outputs(const Step& step, int64_t head) const {
  const Tile rows = tile(w_.unmapped(gradient_of(LATHE_O), step, s_, head, d_.V, w_.at(b_.o)), d_.V);
  if (!p_[LATHE_OUT_GATE].present()) return rows;
  const Tile gates = tile(w_.unmapped(LATHE_OUT_GATE, step, s_, head, d_.V, w_.at(b_.x)), d_.V);
  Buffer x(rows.data, d_.V, d_.C, rows.stride), z(gates.data, d_.V, d_.C, gates.stride);
  Buffer y(w_.at(b_.o), d_.V, d_.C, d_.V);
  call(*plan_.kernels.gate_rows, x, z, y);
  return rows_of(w_.at(b_.o), d_.V);
}

Tile Gradient::weighed(const Tile& outputs, const float* by) const {
  if (!by) return outputs;
  weigh(outputs, by, {w_.at(b_.o), d_.V});
  return rows_of(w_.at(b_.o), d_.V);
}

Tile Gradient::values(const Step& step, int64_t head) const {
  if (!plan_.meaning.variant->weighs()) return tile(w_.unmapped(LATHE_V, step, s_, head, d_.V, w_.v()), d_.V);
  w_.load_weights(s_, step, head);
  const Tile raw = raw_values(step, head);
  return tile(w_.weigh({raw.data, raw.stride}, d_.V, d_.C), d_.V);
}

Tile Gradient::raw_values(const Step& step, int64_t head) const {
  return tile(w_.unmapped(LATHE_V, step, s_, head, d_.V, w_.raw()), d_.V);
}

void Gradient::load_steps(int64_t token, int64_t apart, int64_t n, int64_t head) const {
  if (!plan_.meaning.variant->steps()) return;
  const Tensor& dt = p_[LATHE_DT];
  w_.load_steps(dt.at(s_.batch, token, head), apart * dt.stride[1], bias_of_steps(p_, head, 0), n);
}

void Gradient::finish_out_gates(const Step& step, int64_t head, int64_t value_head, const Worker::Room& o) const {
  const Tile d = tile(w_.unmapped(gradient_of(LATHE_O), step, s_, head, d_.V, w_.at(b_.dx)), d_.V),
             gates = tile(w_.unmapped(LATHE_OUT_GATE, step, s_, head, d_.V, w_.at(b_.x)), d_.V);
  Buffer x(o.data, d_.V, d_.C, o.stride), gradient(d.data, d_.V, d_.C, d.stride),
      z(gates.data, d_.V, d_.C, gates.stride);
  if (p_[LATHE_SKIP].present()) add_skip(o, raw_values(step, value_head), value_head);
  call(*plan_.kernels.gate_slopes, gradient, x, z, x);
  store(LATHE_OUT_GATE, step, head, o, p_.sizes.V);
}

void Gradient::add_skip(const Worker::Room& x, const Tile& v, int64_t head) const {
  Buffer rows(x.data, d_.V, d_.C, x.stride), values(v.data, d_.V, d_.C, v.stride);
  float d = *p_[LATHE_SKIP].floats(head);
  call(*plan_.kernels.skip_rows, rows, values, d, rows);
}

void Gradient::turn(const Tile& k) const {
  Buffer from(k.data, k.width, d_.C, k.stride), to(w_.at(b_.turned), d_.C, k.width, d_.C);
  call(*plan_.kernels.transpose, from, to);
}

void Gradient::attend(const Tile& q, const Tile& v, const float* h, const Worker::Room& out) const {
  Buffer turned(w_.at(b_.turned), d_.C, q.width, d_.C), queries(q.data, q.width, d_.C, q.stride),
      columns(v.data, v.width, d_.C, v.stride);
  Buffer state(h, v.width, q.width, v.width), b = gate(), o(out.data, v.width, d_.C, out.stride);
  if (key_gates_) {
    key_gates_->columns(queries, turned, {v.data, v.stride}, state, o);
  } else if (momentum_) {
    const Momentum::Readers read = momentum_->readers({q.data, q.stride}, q.width);
    Buffer entering(read.state.data, q.width, d_.C, read.state.stride),
        moved(read.momentum.data, q.width, d_.C, read.momentum.stride);
    Buffer momentum(plan_.momentum_of(h), v.width, q.width, v.width), weights = momentum_->weights();
    call(*plan_.kernels.causal, entering, turned, columns, state, queries, momentum, moved, weights, o);
  } else if (gated())
    call(*plan_.kernels.causal, queries, turned, columns, state, b, o);
  else
    call(*plan_.kernels.causal, queries, turned, columns, state, o);
}

void Gradient::attend_by_keys(const Tile& q, const Tile& k, const Tile& v, const float* h,
                              const Worker::Room& out) const {
  if (!key_gates_) {
    turn(k);
    return attend(q, v, h, out);
  }
  Buffer columns(v.data, v.width, d_.C, v.stride), state(h, v.width, q.width, v.width);
  Buffer o(out.data, v.width, d_.C, out.stride);
  key_gates_->turn();
  key_gates_->outputs({q.data, q.stride}, {k.data, k.stride}, columns, state, o);
}

void Gradient::advance_further(const Tile& k, const Tile& v, float* h) const {
  if (momentum_) {
    Buffer keys(k.data, k.width, d_.C, k.stride), columns(v.data, v.width, d_.C, v.stride);
    return momentum_->advance(keys, columns, h, k.width, v.width, v.width, true);
  }
  if (!gated()) return advance(k, v, h);
  float* part = w_.at(b_.part);
  advance_from(k, {0, k.width}, v, w_.at(b_.zeros), part);
  for (int64_t i = 0; i < k.width * v.width; i++) h[i] += part[i];
}

void Gradient::advance_from(const Tile& k, const Columns& some, const Tile& v, const float* h, float* h_out) const {
  const Worker::Rows rows = key_gates_ ? key_gates_->kept() : Worker::Rows{k.data, k.stride};
  Buffer keys(rows.data + some.first, some.count, d_.C, rows.stride), columns(v.data, v.width, d_.C, v.stride);
  Buffer state(h, v.width, some.count, v.width), next(h_out, v.width, some.count, v.width), b = gate();
  if (key_gates_)
    key_gates_->advance(some.first, some.count, keys, columns, state, next);
  else if (momentum_)
    momentum_->advance(keys, columns, h_out, some.count, v.width, v.width);
  else if (gated())
    call(*plan_.kernels.state, keys, columns, state, b, next);
  else
    call(*plan_.kernels.state, keys, columns, state, next);
}

Tile Gradient::differences(const Tile& keys, const Tile& met, const Tile& values, const float* state) const {
  const KeyGates* gates = key_gates_ ? &*key_gates_ : nullptr;
  if (gates) {
    take_keys(met);
    gates->turn();
  } else {
    w_.transpose({met.data, met.stride}, w_.kt());
  }
  const Worker::Rows x =
      DeltaRule(w_).solve(ones(), {keys.data, keys.stride}, {values.data, values.stride}, state, {0, d_.V}, gates);
  return tile(x, d_.V);
}

void Gradient::read_out(const Tile& q, const float* h, const Worker::Room& out, int64_t width) const {
  Buffer queries(q.data, q.width, d_.C, q.stride), state(h, width, q.width, width), inv(ones(), d_.C);
  Buffer o(out.data, width, d_.C, out.stride);
  call(*plan_.kernels.readout, queries, state, inv, o);
}

void Gradient::running_sums(const Tile& k, const Worker::Rows& gates, float* z, float* rows) const {
  if (key_gates_) return key_gates_->running_sums({k.data, k.stride}, gates, z, rows);
  Buffer keys(k.data, d_.K, d_.C, k.stride), before(z, d_.K), b = gate(), out(rows, d_.K, d_.C, d_.K);
  call(*plan_.kernels.running_sums, keys, before, b, out);
  std::memcpy(z, rows + (d_.C - 1) * d_.K, static_cast<size_t>(d_.K) * sizeof(float));
}

void Gradient::key_sum(const Tile& k, float* z) const {
  Buffer keys(k.data, d_.K, d_.C, k.stride), sum(z, d_.K), b = gate();
  if (gated())
    call(*plan_.kernels.key_sum, keys, sum, b, sum);
  else
    call(*plan_.kernels.key_sum, keys, sum, sum);
}

void Gradient::denominator_gradients(const float* inv, float* dots) const {
  Buffer sums(dots, d_.C), inverses(inv, d_.C);
  int32_t at_least = plan_.meaning.denom_max();
  float most = 1 / plan_.meaning.eps;
  call(*plan_.kernels.denominator_slopes, sums, inverses, at_least, most, sums);
}

void Gradient::dots(const Tile& x, const Worker::Room& y, float* out) const {
  Buffer rows(x.data, x.width, d_.C, x.stride), others(y.data, x.width, d_.C, y.stride), sums(out, d_.C);
  call(*plan_.kernels.row_dots, rows, others, sums);
}

void Gradient::weigh(const Tile& x, const float* by, const Worker::Room& out) const {
  Buffer rows(x.data, x.width, d_.C, x.stride), weights(by, d_.C), y(out.data, x.width, d_.C, out.stride);
  call(*plan_.kernels.weigh_rows, rows, weights, y);
}

void Gradient::add(const Worker::Room& x, const Tile& more, const float* by) const {
  Buffer rows(x.data, more.width, d_.C, x.stride), others(more.data, more.width, d_.C, more.stride), weights(by, d_.C);
  call(*plan_.kernels.add_rows, rows, others, weights, rows);
}

void Gradient::add_products(const Worker::Room& x, const Tile& y, const Tile& z, const float* by) const {
  Buffer rows(x.data, y.width, d_.C, x.stride), a(y.data, y.width, d_.C, y.stride), b(z.data, y.width, d_.C, z.stride);
  Buffer weights(by, d_.C);
  call(*plan_.kernels.add_products, rows, a, b, weights, rows);
}

void Gradient::sum_rows(const Tile& x, float* sum) const {
  Buffer rows(x.data, x.width, d_.C, x.stride), all(sum, x.width);
  call(*plan_.kernels.row_sums, rows, all, all);
}

void Gradient::through_lengths(uint32_t role, const Tile& y, const Worker::Room& dy) const {
  const float scale = role == LATHE_K ? 1 : plan_.meaning.scale;
  float *over = w_.lengths(role), *along = w_.at(b_.row);
  dots(y, dy, along);
  for (int64_t i = 0; i < d_.C; i++) along[i] = over[i] == 0 ? 0 : -along[i] / (scale * scale);
  add(dy, y, along);
  weigh(rows_of(dy, y.width), over, dy);
}

void Gradient::finish_mapped(uint32_t role, const Step& step, int64_t head, int64_t key_head, const Worker::Room& dy,
                             const Tile& mapped) const {
  const bool wanted = p_.wants_gradient(role), of_projection = p_.wants_gradient(LATHE_PROJECTION);
  const bool of_mixture = w_.mixes(role) && p_.wants_gradient(LATHE_MIXTURE);
  if (!wanted && !of_projection && !of_mixture) return;
  if (plan_.meaning.unit(role)) through_lengths(role, mapped, dy);
  if (w_.mixes(role)) return finish_mixture(step, head, dy);
  if (w_.as_it_is(role)) return store(role, step, head, dy, p_.sizes.D);
  const Worker::Rows x = w_.unmapped(role, step, s_, head, d_.D, w_.at(b_.x));
  const Worker::Room dx = w_.room_for(gradient_of(role), step, s_, head, d_.D, w_.at(b_.dx));
  w_.map_backward(role, step, s_, head, x, {dy.data, dy.stride}, w_.at(b_.du), dx);
  through_projection(role, x, dx, head, key_head);
  store(role, step, head, dx, p_.sizes.D);
}

void Gradient::through_projection(uint32_t role, const Worker::Rows& x, const Worker::Room& dx, int64_t head,
                                  int64_t key_head) const {
  if (!plan_.meaning.map->projects()) return;
  float* du = w_.at(b_.du);
  if (p_.wants_gradient(role) || w_.mixes(role)) {
    read_out(rows_of(du, d_.M), w_.projection_rows(head), {w_.at(b_.row), d_.D}, d_.D);
    add(dx, rows_of(w_.at(b_.row), d_.D), ones());
  }
  if (!p_.wants_gradient(LATHE_PROJECTION)) return;
  Buffer keys(du, d_.M, d_.C, d_.M), columns(x.data, d_.D, d_.C, x.stride);
  Buffer sum(part_of_projection(plan_, p_, w_.shared(), s_.index, key_head), d_.D, d_.M, d_.D);
  call(*plan_.kernels.outer, keys, columns, sum, sum);
}

void Gradient::finish_mixture(const Step& step, int64_t head, const Worker::Room& dy) const {
  const Worker::Room scratch{w_.at(b_.dx), d_.D}, weighed{w_.at(b_.row), std::max(d_.D, d_.K)};
  Worker::Room dx = dy;  // of what is mixed before the map
  if (w_.mixes_first() && !plan_.meaning.map->identity()) {
    const Worker::Rows x = w_.mixed_keys(step, s_, head, w_.at(b_.x));
    w_.map_backward(LATHE_K, step, s_, head, x, {dy.data, dy.stride}, w_.at(b_.du), scratch);
    through_projection(LATHE_K, x, scratch, head, head);
    dx = scratch;
  }
  for (int64_t key = 0; key < p_.sizes.keys; key++) {
    const Worker::Rows x = w_.key_rows(step, s_, head, key, w_.at(b_.x));
    if (w_.mixes_first()) {
      give_weight(head, key, step, {x.data, x.stride, d_.D}, dx);
      std::fill_n(w_.inv(), d_.C, *p_[LATHE_MIXTURE].floats(head, key));
      weigh({dx.data, dx.stride, d_.D}, w_.inv(), weighed);
      store(LATHE_K, step, head, weighed, p_.sizes.D, key);
    } else {
      if (p_.wants_gradient(LATHE_MIXTURE)) {
        const Worker::Rows features = w_.key_features(step, s_, head, key, weighed.data);
        give_weight(head, key, step, {features.data, features.stride, d_.K}, dy);
      }
      w_.key_backward(step, s_, head, key, x, {dy.data, dy.stride}, w_.at(b_.du), scratch);
      through_projection(LATHE_K, x, scratch, head, head);
      store(LATHE_K, step, head, scratch, p_.sizes.D, key);
    }
  }
}

void Gradient::give_weight(int64_t head, int64_t key, const Step& step, const Tile& x, const Worker::Room& dx) const {
  if (!p_.wants_gradient(LATHE_MIXTURE)) return;
  float* products = w_.inv();
  dots(x, dx, products);
  double& sum = part_of_mixture(plan_, p_, w_.shared(), s_.index, head)[key];
  for (int64_t i = 0; i < step.rows; i++) sum += static_cast<double>(products[i]);
}

void Gradient::store(uint32_t role, const Step& step, int64_t head, const Worker::Room& from, int64_t columns,
                     int64_t key) const {
  const Tensor& to = p_[gradient_of(role)];
  if (!to.present()) return;
  w_.store(to.storage, from.data, from.stride, to.at(s_.batch, s_.token(step.t), head, 0, key), s_.step * to.stride[1],
           step.rows, {0, columns}, w_.at(b_.narrow));
}

void Gradient::finish_tokens(uint32_t role, const Step& step, int64_t head, const float* gradients) const {
  const Tensor& to = p_[gradient_of(role)];
  if (!to.present()) return;
  const char* from = reinterpret_cast<const char*>(gradients);
  if (to.storage != Storage::kF32) {
    const int64_t wide = (d_.C + 15) / 16 * 16;
    Buffer x(gradients, wide, 1, wide), y(w_.at(b_.narrow), to.storage, wide, 1, wide);
    call(*plan_.kernels.narrow[static_cast<int>(to.storage)], x, y);
    from = reinterpret_cast<const char*>(w_.at(b_.narrow));
  }
  const int64_t bytes = size_of(to.storage);
  for (int64_t i = 0; i < step.rows; i++)
    std::memcpy(to.at(s_.batch, s_.token(step.t + i), head), from + i * bytes, static_cast<size_t>(bytes));
}

void Gradient::transpose_state(const float* state, float* transposed) const {
  const int64_t size = d_.K * d_.V;
  for (int64_t at = 0; at < plan_.state_floats(); at += size) {
    Buffer from(state + at, d_.V, d_.K, d_.V), to(transposed + at, d_.K, d_.V, d_.K);
    call(*plan_.kernels.transpose, from, to);
  }
}

GradientWalk::GradientWalk(Worker& worker, const Unit& unit)
    : w_(worker),
      plan_(worker.plan()),
      p_(worker.problem()),
      d_(plan_.padded),
      b_(worker.layout().backward),
      unit_(unit),
      group_{p_.sizes, plan_.meaning.tiled()},
      queries_(p_.sizes.HQ / p_.sizes.HK),
      forth_(sequence(p_, unit.sequence)) {
  std::fill_n(w_.at(b_.ones), d_.C, 1.f);
  zero_padding();
}

float GradientWalk::peak_before(int64_t h, int64_t t) const {
  if (!stabilise()) return 0;
  // the lowest number and not -inf, as in Chunk::keys()
  return t > 0 ? peaks(h)[t - 1]
               : std::max(w_.entering_peak(forth_, key_head(h)), std::numeric_limits<float>::lowest());
}

Tile GradientWalk::keys_forth(const Gradient& g, const Step& now) const {
  const Tile keys = g.keys(now, key_head(now.head), peak_before(now.head, now.t));
  if (stabilise()) std::copy_n(w_.peaks(), now.rows, peaks(now.head) + now.t);
  return keys;
}

float GradientWalk::left_of_state(int64_t h, int64_t tokens) const {
  return entered(h) ? std::exp(peak_before(h, 0) - peak_before(h, tokens)) : 0;
}

void GradientWalk::load_state(int64_t h, int64_t value, float* to) const {
  w_.load_states(LATHE_STATE_IN, LATHE_MOMENTUM_IN, forth_.state, value_head(h, value), to);
  if (!entered(h)) std::fill_n(to, plan_.state_floats(), 0.f);
}

void GradientWalk::load_z(int64_t h) const {
  w_.load_z(p_[LATHE_Z_IN], forth_.state, key_head(h), w_.z(carried(h)));
  if (!entered(h)) std::fill_n(w_.z(carried(h)), d_.K, 0.f);
}

void GradientWalk::zero_padding() const {
  const auto zero = [&](uint32_t role, int64_t first, int64_t end, int64_t of_key_head) {
    const Tensor& x = p_[gradient_of(role)];
    if (!x.present()) return;
    const int64_t dense = x.rank > 3 ? x.shape[3] : 1, keys = x.rank > 4 ? x.shape[4] : 1;
    for (int64_t t = first; t < end; t++)
      for (int64_t h = 0; h < unit_.heads; h++)
        for (int64_t l = 0; l < of_key_head * keys; l++)
          std::memset(x.at(forth_.batch, forth_.first + t, group_.head(x.shape[2], key_head(h), l / keys), 0, l % keys),
                      0, static_cast<size_t>(dense * size_of(x.storage)));
  };
  const int64_t queries_end = forth_.queries + forth_.padding;
  const int64_t keys_end = p_[LATHE_LENGTHS].present() ? p_.sizes.Tk : forth_.keys;
  zero(LATHE_Q, forth_.queries, queries_end, queries_);
  zero(LATHE_K, forth_.keys, keys_end, 1);
  zero(LATHE_V, forth_.keys, keys_end, group_.values());
  for (uint32_t role : {LATHE_GATE, LATHE_DT, LATHE_BETA}) zero(role, forth_.queries, queries_end, group_.values());
  zero(LATHE_OUT_GATE, forth_.queries, queries_end, group_.outputs());
}

}  // namespace lathe
