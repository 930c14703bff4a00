// Gradients of mixtures of keys on a device: of every key, and of what each weighs.
#include "gradients.h"

namespace lathe {

void Gradients::finish_mixture(const Tile& dy, const Items& items) {
  if (items.count == 0) return;
  const Tensor& to = p_[gradient_of(LATHE_K)];
  const bool first = plan_.meaning.mixes_first();
  const auto through = [&](const Tile& x, const Tile& gradient) {
    return maps(LATHE_K) ? through_map(LATHE_K, x, gradient, items) : gradient;
  };
  const Tile of_mixture = first ? through(mixture(items, dy.rows), dy) : dy;
  for (int64_t key = 0; key < s_.keys; key++) {
    const Tile x = raw(LATHE_K, from_key(p_[LATHE_K], key), items, dy.rows);
    if (p_.wants_gradient(LATHE_MIXTURE)) give_weight(first ? x : mapped(LATHE_K, x, items), of_mixture, items);
    Tile dx = with({}, of_mixture, weights(key, dy.rows));
    if (!first) dx = through(x, dx);
    if (to.present()) scatter(dx, 0, to, of_tokens(to), from_key(to, key), items, s_.D);
  }
}

void Gradients::give_weight(const Tile& x, const Tile& dx, const Items& items) {
  const Tile dots = numbers_of_rows(dx), none = zeros(dots.columns, dots.rows, dots.items, dots.heads);
  launcher_.call(
      *k_.row_dots,
      DeviceBuffer(x.place, kFloat, {{dx.columns, 1}, {x.rows, x.columns}, {x.items, x.item()}, {x.heads, x.head()}}),
      rows(dx), row(dots));
  given_weights_.push_back(later_sums(dots, none, items, number_of_all(nothing_, 1, dots.heads), dots.columns, 1).all);
}

void Gradients::finish_weights() {
  const Tensor& to = p_[gradient_of(LATHE_MIXTURE)];
  if (!to.present()) return;
  // of no tokens it is zero
  if (given_weights_.empty()) given_weights_.assign(static_cast<size_t>(s_.keys), zeros(kRows, kRows, 1, s_.HK));
  for (int64_t key = 0; key < s_.keys; key++)
    scatter(given_weights_[static_cast<size_t>(key)], 0, to, {{1, 0}, {1, 0}, {1, 0}, dimension(to, 0)},
            from(to) + static_cast<int32_t>(key * to.stride[1]), once_, 1);
}

}  // namespace lathe
