// States that are written by who reads them.
#pragma once

#include "../generators/kernel.h"

namespace lathe::gen {

// The value, which whoever computes it also stores as that output's element. Who asks for it twice stores it twice.
Halide::Expr stored(const std::string& output, const Halide::Expr& value, const std::vector<Halide::Expr>& at);

// Puts those stores where the values are. No schedule can say this: Halide computes an output by itself, after or
// before whatever else reads what it is made of.
void store_values(Halide::Pipeline& pipeline, const Kernel& kernel);

// A state may stay in its place: none of its PTX reads by the way of memory that nobody writes, which is what LLVM
// takes, since Halide says that no two buffers are one.
void read_what_is_stored(const Halide::Module& module, const Kernel& kernel);

}  // namespace lathe::gen
