// Functions that a formula names before anybody says how they are computed, so that it can be differentiated first.
#pragma once

#include <Halide.h>

namespace lathe::gen {

// Calls by name: "exponential", "exponential_of_negative", "sine", "cosine" of vmath.h, "relu", "sigmoid", and "silu".
Halide::Expr symbol(const char* name, const Halide::Expr& x);

// The same value in vector functions.
Halide::Expr lowered(const Halide::Expr& e);

// d e / d variable, of an expression in symbols; conditions are constants, and relu and its like are flat at their
// corner. Undefined where e does not depend on the variable. Throws std::logic_error for an operation that it has no
// rule for.
Halide::Expr derivative(const Halide::Expr& e, const std::string& variable);

}  // namespace lathe::gen
