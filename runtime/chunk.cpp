#include "chunk.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

namespace lathe {

Worker::Rows Chunk::keys(const Step& step, int64_t key_head, float& peak) const {
  // the lowest number and not -inf: differences of peaks must be numbers
  const float before = std::max(peak, std::numeric_limits<float>::lowest());
  const Worker::Rows k = w_.map_rows(LATHE_K, step, s_, key_head, before, w_.k());
  if (plan_.meaning.stabilise()) peak = w_.peaks()[d_.C - 1];
  return k;
}

Worker::Rows Chunk::values(const Step& step, int64_t head) const {
  const Worker::Rows raw = w_.values(s_, step.t, step.rows, head, w_.v());
  if (!plan_.meaning.variant->weighs()) return raw;
  w_.load_weights(s_, step, head);
  return w_.weigh(raw, d_.V, d_.C);
}

void Chunk::decay(const Step& step, int64_t head, float before, const ChunkTiles& tiles) const {
  if (key_gates_) {
    key_gates_->take(s_, step, head, tiles.k, before);
  } else if (momentum_) {
    momentum_->take(s_, head, step.rows);
  } else if (gated_ || delta_) {
    fill_gate(step, head, before);
  }
}

void Chunk::fill_gate(const Step& step, int64_t head, float before) const {
  float* fraction = w_.gate() + d_.C;
  log_decays(plan_.meaning, p_, s_.batch, s_.first + step.t, step.rows, head, fraction, w_.dt());
  std::fill(fraction + step.rows, fraction + d_.C, 0.f);
  sum_gate(plan_.meaning.stabilise() ? w_.peaks() : nullptr, before);
}

void Chunk::fill_gate(const float* log_decays, int64_t n) const {
  float* fraction = w_.gate() + d_.C;
  std::fill(std::copy_n(log_decays, n, fraction), fraction + d_.C, 0.f);
  sum_gate(nullptr, 0);
}

void Chunk::sum_gate(const float* peaks, float before) const {
  // what is below it leaves nothing, even of the largest number, while sums of infinities would end in NaN; and a whole
  // number, so that what follows a reset is exact
  constexpr double least = -288;
  float *whole = w_.gate(), *fraction = whole + d_.C;
  float peak = peaks && std::isinf(before) ? peaks[0] : before;
  double sum = 0;
  for (int64_t i = 0; i < d_.C; i++) {
    double log_decay = fraction[i];
    if (peaks) log_decay += peak - peaks[i], peak = peaks[i];
    const double doublings = log_decay * std::numbers::log2e;
    sum += doublings < least ? least : doublings;  // NaN stays
    whole[i] = std::isnan(sum) ? 0.f : static_cast<float>(static_cast<int32_t>(sum - 0.5));
    fraction[i] = static_cast<float>(sum - whole[i]);
  }
}

void Chunk::outputs(const Step& step, const Worker::Rows& queries, const ChunkTiles& tiles, const float* state,
                    const float* z_entering, int64_t head) const {
  const Tensor& o = p_[LATHE_O];
  char* to = o.at(s_.batch, s_.first + step.t, head);
  int64_t stride;
  float* rows_out = w_.output_rows(to, step.rows, stride);
  Buffer q(queries.data, d_.K, d_.C, queries.stride), kt(w_.kt(), d_.C, d_.K, d_.C),
      v(tiles.v.data + columns_.first, columns_.count, d_.C, tiles.v.stride);
  Buffer h(state + columns_.first, columns_.count, d_.K, d_.V), z(z_entering, d_.K), b(w_.gate(), d_.C, 2, d_.C);
  Buffer out(rows_out + columns_.first, columns_.count, d_.C, stride);
  const Momentum::Readers read = momentum_ ? momentum_->readers(queries, d_.K) : Momentum::Readers{};
  Buffer p(momentum_ ? plan_.momentum_of(state) + columns_.first : nullptr, columns_.count, d_.K, d_.V),
      moved(read.momentum.data, d_.K, d_.C, read.momentum.stride),
      weights = momentum_ ? momentum_->weights() : Buffer(nullptr, 0);
  float eps = plan_.meaning.eps;
  int32_t at_least = plan_.meaning.denom_max();
  const Entry& kernel = *plan_.kernels.causal;
  if (key_gates_)
    key_gates_->outputs(queries, tiles.k, v, h, out);
  else if (plan_.meaning.normalise() && momentum_)
    call(kernel, q, kt, v, h, z, eps, at_least, q, p, moved, weights, out);
  else if (momentum_)
    call(kernel, q, kt, v, h, q, p, moved, weights, out);
  else if (plan_.meaning.normalise() && gated_)
    call(kernel, q, kt, v, h, z, eps, at_least, b, out);
  else if (plan_.meaning.normalise())
    call(kernel, q, kt, v, h, z, eps, at_least, out);
  else if (gated_)
    call(kernel, q, kt, v, h, b, out);
  else
    call(kernel, q, kt, v, h, out);
  if (plan_.meaning.variant->steps()) {
    const int64_t value_head = Group{p_.sizes, plan_.meaning.tiled()}.state_of(head);
    w_.finish(s_, step.t, step.rows, head, value_head, rows_out, stride, columns_);
  }
  w_.store(rows_out, stride, to, o.stride[1], step.rows, columns_);
}

void Chunk::advance_z(const ChunkTiles& tiles, float* z_row) const {
  const Worker::Rows keys = kept(tiles);
  Buffer k(keys.data, d_.K, d_.C, keys.stride), z(z_row, d_.K), b(w_.gate(), d_.C, 2, d_.C);
  if (gated_)
    call(*plan_.kernels.key_sum, k, z, b, z);
  else
    call(*plan_.kernels.key_sum, k, z, z);
}

void Chunk::advance(const ChunkTiles& tiles, int64_t first, int64_t keys, float* state) const {
  const Worker::Rows kept_keys = kept(tiles);
  Buffer k(kept_keys.data + first, keys, d_.C, kept_keys.stride),
      v(tiles.v.data + columns_.first, columns_.count, d_.C, tiles.v.stride), b(w_.gate(), d_.C, 2, d_.C);
  float* block = state + first * d_.V + columns_.first;
  Buffer h(block, columns_.count, keys, d_.V);
  if (key_gates_)
    key_gates_->advance(first, keys, k, v, h, h);
  else if (momentum_)
    momentum_->advance(k, v, block, keys, columns_.count, d_.V);
  else if (gated_)
    call(*plan_.kernels.state, k, v, h, b, h);
  else
    call(*plan_.kernels.state, k, v, h, h);
  // a padded key is zero, but zero times an infinite value is NaN, which the next query would read
  const int64_t real = std::max(p_.sizes.K, first);
  for (int64_t key = real; key < first + keys; key++) {
    std::memset(state + key * d_.V + columns_.first, 0, static_cast<size_t>(columns_.count) * 4);
    if (momentum_)
      std::memset(plan_.momentum_of(state) + key * d_.V + columns_.first, 0, static_cast<size_t>(columns_.count) * 4);
  }
}

}  // namespace lathe
