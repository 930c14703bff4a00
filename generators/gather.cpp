// Between the caller's tensors and the tiles of a whole call, for devices, whose buffers begin at multiples of some
// bytes: rows are found by their indices. Of every storage, by bits, since not every device has types of 16 bits.
//
// x(U, D, T, B): columns, tokens and rows of the batch at the caller's strides, beginning `from` elements along U. Of
// each item, a stretch of tokens from `token` of row `batch` on, `rows` count.
#include "decay_sums.h"
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
  kernel.rows("y", [&](const Expr& d, const Expr& i) {
    Expr column = clamp(d, 0, width - 1), row = place.token + max(min(i, place.rows - 1), 0);
    Expr value =
        x(inside(place.from, x.dim(0)), inside(column, x.dim(1)), inside(row, x.dim(2)), inside(place.batch, x.dim(3)));
    return select(d < width && i < place.rows, widened_bits(kernel.axis(), value), 0.f);
  });
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

namespace {

// The one number of each token of x(U, T, B); 0 past those that count, and where the first ones are skipped.
Expr number_of(const Kernel& kernel, const ImageParam& x, const Place& place, const Expr& skipped, const Expr& token) {
  Expr row = place.token + max(min(token, place.rows - 1), skipped);
  Expr number = widened_bits(kernel.axis(),
                             x(inside(place.from, x.dim(0)), inside(row, x.dim(1)), inside(place.batch, x.dim(2))));
  return select(token >= skipped && token < place.rows, number, 0.f);
}

Expr clamped_to_zero(const Expr& clamped, const Expr& x, const Expr& beyond) {
  return select(clamped == 1 && beyond, 0.f, x);
}

}  // namespace

// x(U, T, B): one log decay for each token. Clamped, one above 0 is 0.
LATHE_KERNEL(decay_sums, types) {
  auto x = kernel.buffer("x", 3, bits_of(kernel.axis()));
  const Place place(kernel);
  Expr skipped = kernel.each<int32_t>("skipped"), clamped = kernel.number<int32_t>("clamped");
  sum_decays(kernel, [&](const Expr& token) {
    Expr gate = number_of(kernel, x, place, skipped, token);
    return clamped_to_zero(clamped, gate, less(0.f, gate));
  });
}

// What one token leaves of the states of its heads, which are x's tokens here: left(H), 1 past those that count.
LATHE_KERNEL(decay_step, types) {
  auto x = kernel.buffer("x", 3, bits_of(kernel.axis()));
  const Place place(kernel);
  Expr clamped = kernel.number<int32_t>("clamped");
  kernel.numbers("left", [&](const Expr& head) {
    Expr gate = number_of(kernel, x, place, 0, head);
    return exponential(clamped_to_zero(clamped, gate, less(0.f, gate)));
  });
}

// The same of tokens that have steps, and those: steps(C). x(U, T, B) and the head's bias make one, by way of a
// softplus where it is asked for; clamped, one below 0 is 0. A step of 0 leaves all, whatever the head's decay is.
LATHE_KERNEL(step_sums, types) {
  auto x = kernel.buffer("x", 3, bits_of(kernel.axis()));
  const Place place(kernel);
  Expr skipped = kernel.each<int32_t>("skipped");
  Expr bias = kernel.each<float>("bias"), decay = kernel.each<float>("decay");
  Expr soft = kernel.number<int32_t>("soft"), clamped = kernel.number<int32_t>("clamped");
  Var i("i");
  Func steps("steps");
  Expr sum = number_of(kernel, x, place, skipped, i) + bias, step = select(soft == 1, softplus(sum), sum);
  steps(i) = select(i >= skipped && i < place.rows, clamped_to_zero(clamped, step, less(step, 0.f)), 0.f);
  kernel.output(Role::per_token, steps);
  sum_decays(kernel, [&](const Expr& token) {
    Expr product = decay * steps(token);
    return select(strict_float(steps(token) == 0.f), 0.f, clamped_to_zero(clamped, product, less(0.f, product)));
  });
}

namespace {

// A walk over N chunks of C tokens from the last to the first, which carries sums of `more` less `less`, what each
// addition lost, which the next one makes good, and the sums again, zero past the rows of a chunk that count.
struct Backwards {
  Expr tokens, chunks;
  RDom r;
  Expr at = tokens - 1 - r.x, chunk = chunks - 1 - r.y;
  Expr begins = r.x == 0 && r.y == 0;
  Expr token = select(r.x > 0, at + 1, 0), later = select(r.x > 0, chunk, min(chunk + 1, chunks - 1));
  Backwards(const Expr& c, const Expr& n) : tokens(c), chunks(n), r(0, c, 0, n, "r") {}

  Tuple sum(const Expr& start, const Tuple& sums, const Expr& more, const Expr& less, const Expr& rows) const {
    Expr before = select(begins, start, sums[0]), lost = select(begins, 0.f, sums[1]);
    Expr added = strict_float(strict_float(more - less) - lost), sum = strict_float(before + added);
    return {sum, strict_float(strict_float(sum - before) - added), select(at < rows, sum, 0.f)};
  }
};

}  // namespace

// Sums over a sequence from its last token to each, beginning with `start`. more(C, N), less(C, N), rows(N).
LATHE_KERNEL(later_sums, device) {
  auto more = kernel.buffer("more"), less = kernel.buffer("less");
  auto rows = kernel.buffer("rows", 1, Int(32));
  rows.dim(0).set_stride(Expr());
  Expr start = kernel.each<float>("start");
  const Backwards b(more.dim(0).extent(), more.dim(1).extent());
  Var i("i"), n("n");
  Func sums("sums");
  sums(i, n) = Tuple(undef<float>(), undef<float>(), undef<float>());
  sums(b.at, b.chunk) = b.sum(start, sums(b.token, b.later), more(b.at, b.chunk), less(b.at, b.chunk), rows(b.chunk));
  kernel.output(Role::serial, sums);
}

// The same of each column of rows. more(K, C, N), less(K, C, N), start(K).
LATHE_KERNEL(later_rows, device) {
  auto more = kernel.buffer("more", 3), less = kernel.buffer("less", 3), start = kernel.buffer("start", 1);
  auto rows = kernel.buffer("rows", 1, Int(32));
  rows.dim(0).set_stride(Expr());
  const Backwards b(more.dim(1).extent(), more.dim(2).extent());
  Var c("c"), i("i"), n("n");
  Func sums("sums");
  sums(c, i, n) = Tuple(undef<float>(), undef<float>(), undef<float>());
  sums(c, b.at, b.chunk) =
      b.sum(start(c), sums(c, b.token, b.later), more(c, b.at, b.chunk), less(c, b.at, b.chunk), rows(b.chunk));
  kernel.output(Role::carried, sums);
}
