// Every feature map, one row each: docs/operators.md. The generator reads the formulas, the library the rest, CMake the
// names.
//
// LATHE_MAP(name, K, last, inputs, attribute, its default, formula)
//   K        width of the output, from the head width D, the projection's rows M and the attribute A
//   last     width of the formula's last part
//   inputs   what a call must bring: NONE, PROJECTION or POSITION; STABLE_PROJECTION may also be asked to stabilise
//   formula  parts(part(width, value), ...) laid end to end. In a value, x is the input and u its projection, both in
//            column c of the part; square is |x|^2, row the token's index in its sequence, shift what stabilising
//            subtracts (else 0); D, M and A are as above, as numbers.
LATHE_MAP(identity, D, D, NONE, "", 0, parts(part(D, x)))
LATHE_MAP(relu, D, D, NONE, "", 0, parts(part(D, relu(x))))
LATHE_MAP(relu2, D, D, NONE, "", 0, parts(part(D, relu(x) * relu(x))))
LATHE_MAP(elu1, D, D, NONE, "", 0, parts(part(D, select(less(0.f, x), x + 1.f, exponential_of_negative(x)))))
LATHE_MAP(exp, D, D, NONE, "", 0, parts(part(D, exponential(x))))
LATHE_MAP(silu, D, D, NONE, "", 0, parts(part(D, silu(x))))
// a_i = pi i / (2 max_length), i from 1
LATHE_MAP(cosformer, 2 * D, D, POSITION, "max_length", REQUIRED,
          parts(part(D, relu(x) * sine(quarter_turns(row + 1, A))),
                part(D, relu(x) * cosine(quarter_turns(row + 1, A)))))
// fast-transformers' positive random features, x' = sqrt(tau) x
LATHE_MAP(favor, 2 * M, M, PROJECTION, "tau", 1 / std::sqrt(double(D)),
          parts(part(M, exponential(sqrt(A) * u - offset(A * square, 2 * M))),
                part(M, exponential(-(sqrt(A) * u) - offset(A * square, 2 * M)))))
// Performer's
LATHE_MAP(favor_performer, M, M, STABLE_PROJECTION, "", 1 / std::sqrt(double(D)),
          parts(part(M, (exponential(sqrt(A) * u - A * square / 2.f - shift) + 1e-4f) / sqrt(number(M)))))
LATHE_MAP(rff, 2 * M, M, PROJECTION, "tau", 1 / std::sqrt(double(D)),
          parts(part(M, cosine(sqrt(A) * u) / sqrt(number(M))), part(M, sine(sqrt(A) * u) / sqrt(number(M)))))
LATHE_MAP(dpfp, 2 * D * int64_t(A), 2 * D * int64_t(A), NONE, "nu", 1, over_sum(rolled_products()))
LATHE_MAP(taylor2, 1 + D + D * (D + 1) / 2, 1, NONE, "", 1 / std::sqrt(double(D)),
          parts(part(1, number(1)), part(D, sqrt(A) * x), part(D, A * 0.70710678f * x * x), triangle(A*(x* x_behind))))
LATHE_MAP(hedgehog, 2 * M, M, PROJECTION, "", 0,
          over_sum(parts(part(M, exponential(2.f * u - 2.f * u_max)), part(M, exponential(-(2.f * u) - 2.f * u_max)))))
#ifdef LATHE_EXTRA_MAPS
#include LATHE_EXTRA_MAPS
#endif
