// Sums of log decays as decay.h wants them, for devices, where the host has no number of the caller's.
#pragma once

#include <functional>

#include "kernel.h"
#include "vmath.h"

namespace lathe::gen {

// log2(e) x as a number with some of its bits, exactly, and what is missing of it: either factor in two parts, the
// first of so few bits that their product has no more than a float32.
struct Doublings {
  Halide::Expr most, rest;
};
inline Doublings doublings_of(const Halide::Expr& x) {
  using Halide::reinterpret;
  constexpr float most = 1.4423828125f, rest = 3.12228641e-4f;
  Halide::Expr upper = reinterpret<float>(reinterpret<uint32_t>(x) & Halide::Expr(0xfffff000u)),
               lower = Halide::strict_float(x - upper);
  return {upper * most, upper * rest + lower * (most + rest)};
}

// Log decays, summed over the tokens of an item, and what all of them leave of a state: b(C, 2), left(16), of equal
// numbers. Others, summed already, may join them: joined(C, 2).
inline void sum_decays(Kernel& kernel, const std::function<Halide::Expr(Halide::Expr)>& log_decay,
                       const Halide::ImageParam& joined = {}) {
  using Halide::Expr;
  Halide::RDom token(0, kernel.chunk(), "token");
  Halide::Var i("i"), part("part"), lane("lane");
  // as in gate_sums
  constexpr float least = -288;
  const Expr log = log_decay(token);
  const auto [most, rest] = doublings_of(log);
  const Expr none = less(log * 1.44269504088896341f, least), whole = select(none, least, nearest_whole(most));
  Halide::Func b("b"), left("left");
  b(i, part) = Halide::undef<float>();
  Expr before = max(token - 1, 0);
  const auto more = [&](int of_part) -> Expr {
    if (!joined.defined()) return 0.f;
    return strict_float(joined(token, of_part) - select(token > 0, joined(before, of_part), 0.f));
  };
  // fractions alone are added, which as a part of larger sums would lose more
  Expr fraction = select(none, 0.f, strict_float(most - whole) + rest) + more(1);
  Expr sum = select(token > 0, b(before, 1), 0.f) + fraction;
  b(token, 1) = sum - nearest_whole(sum);
  b(token, 0) = select(token > 0, b(before, 0), 0.f) + (whole + nearest_whole(sum)) + more(0);
  Expr last = kernel.chunk() - 1;
  left(lane) = power_of_fraction(b(last, 1)) * power_of_whole(b(last, 0));
  kernel.output(Role::serial, b);
  kernel.output(Role::per_token, left);
}

}  // namespace lathe::gen
