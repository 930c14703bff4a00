// Between the caller's tensors and the tiles of a whole call, for devices, whose buffers begin at multiples of some
// bytes: rows are found by their indices. Of every storage, by bits, since not every device has types of 16 bits.
//
// x(U, D, T, B): columns, tokens and rows of the batch at the caller's strides, beginning `from` elements along U. Of
// each item, a stretch of tokens from `token` of row `batch` on, `rows` count.
#include "decay.h"
#include "kernel.h"
#include "storage.h"
#include "vmath.h"

using namespace Halide;
using namespace lathe::gen;

namespace {

struct Place {
  Expr from, token, batch, rows;
  explicit Place(Kernel& kernel)
      : from(kernel.number<int32_t>("from")),
        token(kernel.each<int32_t>("token")),
        batch(kernel.each<int32_t>("batch")),
        rows(kernel.each<int32_t>("rows")) {}
};

// No index leaves the caller's tensor, which Halide cannot see.
template <typename Dimension>
Expr inside(const Expr& index, const Dimension& dim) {
  return unsafe_promise_clamped(index, 0, dim.extent() - 1);
}

}  // namespace

// y(D, C), zero past `width` columns and past the rows that count.
LATHE_KERNEL(gather, types) {
  auto x = kernel.buffer("x", 4, bits_of(kernel.axis()));
  const Place place(kernel);
  Expr width = kernel.number<int32_t>("width");
  Var d("d"), i("i");
  Func y("y");
  Expr column = clamp(d, 0, width - 1), row = place.token + max(min(i, place.rows - 1), 0);
  Expr value =
      x(inside(place.from, x.dim(0)), inside(column, x.dim(1)), inside(row, x.dim(2)), inside(place.batch, x.dim(3)));
  y(d, i) = select(d < width && i < place.rows, widened_bits(kernel.axis(), value), 0.f);
  kernel.output(Role::copy, y);
}

// Back, from y(D, C): `all` rows are written, zeros past those that count.
LATHE_KERNEL(scatter, types) {
  auto y = kernel.buffer("y");
  const Place place(kernel);
  Expr width = kernel.number<int32_t>("width"), all = kernel.each<int32_t>("all");
  Var u("u"), d("d"), t("t"), b("b");
  RDom r(0, width, 0, y.dim(1).extent(), "r");
  r.where(r.y < all);
  Func x("x");
  x(u, d, t, b) = undef(bits_of(kernel.axis()));
  const auto to = [&](const Expr& index, int dim) { return inside(index, x.output_buffer().dim(dim)); };
  x(to(place.from, 0), to(r.x, 1), to(place.token + r.y, 2), to(place.batch, 3)) =
      narrowed_bits(kernel.axis(), select(r.y < place.rows, y(r.x, r.y), 0.f));
  kernel.output(Role::placed, x);
}

// The log decays of a head, summed over the tokens of an item as decay.h wants them, and what all of them leave of a
// state. x(U, T, B): one column; b(C, 2), left(16), of equal numbers. Clamped, a gate above 0 is 0.
LATHE_KERNEL(decay_sums, types) {
  auto x = kernel.buffer("x", 3, bits_of(kernel.axis()));
  const Place place(kernel);
  Expr clamped = kernel.number<int32_t>("clamped");
  RDom token(0, kernel.chunk(), "token");
  Var i("i"), part("part"), lane("lane");
  Expr row = place.token + max(min(token, place.rows - 1), 0);
  Expr gate = widened_bits(kernel.axis(),
                           x(inside(place.from, x.dim(0)), inside(row, x.dim(1)), inside(place.batch, x.dim(2))));
  gate = select(token < place.rows && !(clamped == 1 && less(0.f, gate)), gate, 0.f);
  // as in gate_sums
  constexpr float least = -288;
  Expr doublings = gate * 1.44269504088896341f;
  Func b("b"), left("left");
  b(i, part) = undef<float>();
  Expr before = max(token - 1, 0);
  Expr sum = select(token > 0, b(before, 1), 0.f) + select(less(doublings, least), least, doublings);
  b(token, 1) = sum - nearest_whole(sum);
  b(token, 0) = select(token > 0, b(before, 0), 0.f) + nearest_whole(sum);
  Expr last = kernel.chunk() - 1;
  left(lane) = power_of_fraction(b(last, 1)) * power_of_whole(b(last, 0));
  kernel.output(Role::serial, b);
  kernel.output(Role::per_token, left);
}
