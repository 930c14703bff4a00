// What an expression reads, for schedules that follow their algorithm.
#pragma once

#include <Halide.h>

#include <string>
#include <vector>

namespace lathe::gen {

// The arguments that a Func is called with in an expression; none where it is not.
std::vector<Halide::Expr> call_of(const Halide::Func& f, const Halide::Expr& value);
bool uses(const Halide::Expr& value, const Halide::RVar& variable);

}  // namespace lathe::gen
