// What tokens have besides queries, keys and values, and what it makes of those.
#include <algorithm>
#include <limits>

#include "tiles.h"

namespace lathe {

Tiles::Decays Tiles::room_for_decays(int64_t items) {
  return {tile(d_.C, std::max<int64_t>(2, spaced(d_.C)), items, s_.state_heads()),
          tile(kRows, kSpaced, items, s_.state_heads()),
          {}};
}

Tiles::Decays Tiles::decays(const Items& items, bool mirrored, bool clamps) {
  const Variant& variant = *plan_.meaning.variant;
  if (!variant.decays() || variant.keyed()) return {};
  const bool steps = variant.steps();
  const Tensor& x = p_[steps ? LATHE_DT : p_[LATHE_GATE].present() ? LATHE_GATE : LATHE_DECAY];
  const bool of_tokens = x.rank == 3;
  const int64_t heads = s_.state_heads();
  Decays made = room_for_decays(items.count);
  if (steps) made.steps = tile(d_.C, spaced(d_.C), items.count, heads);
  const auto sums_by = [&](const Entry* const* kernels, auto&&... more) {
    launcher_.call(
        *kernels[static_cast<int>(x.storage)],
        DeviceBuffer(Place{x.memory}, type_of(x),
                     {{1, 1},
                      of_tokens ? Dimension{x.shape[1], mirrored ? -x.stride[1] : x.stride[1]} : Dimension{s_.Tk, 0},
                      of_tokens ? dimension(x, 0) : Dimension{s_.B, 0},
                      {items.count, 0},
                      dimension(x, x.rank - 1)}),
        static_cast<int32_t>(from(x) + (mirrored && of_tokens ? (x.shape[1] - 1) * x.stride[1] : 0)),
        tables_.list(items, items.token, heads), tables_.list(items, items.batch, heads),
        tables_.list(items, items.rows, heads), tables_.list(items, items.skipped, heads), more..., rows(made.sums),
        row(made.left));
  };
  const int32_t clamped = clamps;
  if (!steps) {
    sums_by(k_.decay_sums, int32_t{clamped});
    return made;
  }
  const Tile bias = p_[LATHE_DT_BIAS].present() ? numbers(LATHE_DT_BIAS) : zeros(kRows, kRows, 1, heads),
             decay = numbers(LATHE_DECAY);
  sums_by(k_.step_sums, number_again(bias, all(bias), items.count), number_again(decay, all(decay), items.count),
          int32_t{plan_.meaning.softplus()}, int32_t{clamped}, row(made.steps));
  return made;
}

Tiles::Decays Tiles::decays_of_heads(const Items& items) {
  const Variant& variant = *plan_.meaning.variant;
  if (!variant.decays() || variant.keyed()) return {};
  const Tensor& x = p_[p_[LATHE_GATE].present() ? LATHE_GATE : LATHE_DECAY];
  const int64_t heads = s_.state_heads();
  const Dimension batch = x.rank < 3 ? Dimension{s_.B, 0} : batch_of(x);
  Decays made{{}, tile(padded_rows(heads), 1, items.count, 1), {}};
  launcher_.call(
      *k_.decay_step[static_cast<int>(x.storage)],
      DeviceBuffer(Place{x.memory}, type_of(x), {{1, 1}, dimension(x, x.rank - 1), batch, {items.count, 0}, {1, 0}}),
      int32_t{from(x)}, tables_.list(items, items.token, 1), tables_.list(items, items.batch, 1),
      tables_.list(items, items.rows, 1), int32_t{plan_.meaning.clamps()}, row(made.left));
  made.left = heads_of_columns(made.left, heads);
  return made;
}

Tile Tiles::numbers(uint32_t role) {
  const Tensor& x = p_[role];
  return gather(x, {{1, 0}, {1, 0}, {1, 0}, dimension(x, 0)}, once_, 1, kRows, 1, x.shape[0]);
}

Tile Tiles::log_decays_of_heads() { return at_most_zero(numbers(LATHE_DECAY)); }

Tile Tiles::at_most_zero(const Tile& gates) {
  return plan_.meaning.clamps() ? clamped(gates, -std::numeric_limits<float>::infinity(), 0) : gates;
}

Tile Tiles::weights_to_come(const Items& items) {
  const int64_t heads = s_.state_heads();
  const Tile made = tile(d_.C, spaced(d_.C), items.count, heads), decay = log_decays_of_heads(),
             taken = numbers(LATHE_STEP_SIZE);
  launcher_.call(*k_.momentum_weights, tables_.list(items, items.left, heads),
                 number_again(decay, all(decay), items.count), number_again(taken, all(taken), items.count), row(made));
  return made;
}

Tile Tiles::times(float factor, const Tile& x) {
  const Tile by = tile(x.rows, 1, 1, 1), to = tile(x.columns, x.rows, x.items, x.heads);
  fill(by, factor);
  launcher_.call(*k_.weigh_rows, rows(x), row_of_all(by, x.rows, x.items, x.heads), rows(to));
  return to;
}

Tile Tiles::betas(const Tile& raw) {
  const float most = plan_.meaning.largest_beta();
  const Tile made = plan_.meaning.sigmoid() ? times(most, sigmoids(raw)) : raw;
  return plan_.meaning.clamps() ? clamped(made, 0, most) : made;
}

Tile Tiles::bonuses() {
  const Tensor& x = p_[LATHE_BONUS];
  return gather(x, {dimension(x, 1), {1, 0}, {1, 0}, dimension(x, 0)}, once_, s_.K, d_.K, 1, s_.state_heads());
}

// As exp(-softplus(-x)), which the kernels at hand make.
Tile Tiles::sigmoids(const Tile& x) {
  const Tile negative = times(-1, x), soft = tile(x.columns, x.rows, x.items, x.heads);
  launcher_.call(*k_.softplus, row(negative), row(soft));
  return exponentials(times(-1, soft));
}

Tile Tiles::exponentials(const Tile& x) {
  const Tile to = tile(x.columns, x.rows, x.items, x.heads);
  launcher_.call(*k_.exponentials, rows(x), at(x, all(x)), counted({&x}, all(x)), rows(to));
  return to;
}

Tile Tiles::unit_weights(uint32_t role, const Tile& x) {
  const Tile by = tile(x.rows, 1, x.items, x.heads);
  launcher_.call(*k_.unit_rows, rows(x), float{plan_.meaning.eps}, float{role == LATHE_K ? 1.f : plan_.meaning.scale},
                 row(by));
  return by;
}

Tile Tiles::clamped(const Tile& x, float least, float most) {
  const Tile to = tile(x.columns, x.rows, x.items, x.heads);
  launcher_.call(*k_.clamp_rows, rows(x), float{least}, float{most}, rows(to));
  return to;
}

Tile Tiles::weighed(const Tile& x, const Tile& by) {
  const Tile to = tile(x.columns, x.rows, x.items, x.heads);
  launcher_.call(*k_.weigh_rows, rows(x), row(by), rows(to));
  return to;
}

Tile Tiles::with_skipped(const Tile& outputs, const Tile& values, const Items& items) {
  if (!p_[LATHE_SKIP].present()) return outputs;
  const Tile skip = numbers(LATHE_SKIP), to = tile(outputs.columns, outputs.rows, outputs.items, outputs.heads);
  for (int64_t l = 0; l < group_.outputs(); l++) {
    const OutputHeads of = heads_of_output(l);
    launcher_.call(*k_.skip_rows, rows(outputs, of.outputs), rows(values, of.values),
                   number_again(skip, of.values, items.count), rows(to, of.outputs));
  }
  return to;
}

Tile Tiles::finished(const Tile& outputs, const Tile& values, const Items& items) {
  const Tile made = with_skipped(outputs, values, items);
  const Tensor& x = p_[LATHE_OUT_GATE];
  if (!x.present()) return made;
  const Tile gates = gather(x, of_tokens(x), items, s_.V, d_.V, outputs.rows, s_.out_heads()),
             to = tile(outputs.columns, outputs.rows, outputs.items, outputs.heads);
  launcher_.call(*k_.gate_rows, rows(made), rows(gates), rows(to));
  return to;
}

}  // namespace lathe
