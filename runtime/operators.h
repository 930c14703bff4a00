// Operators, and which tensors each takes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "lathe.h"

namespace lathe {

constexpr uint64_t bits(std::initializer_list<int> roles) {
  uint64_t mask = 0;
  for (int role : roles) mask |= uint64_t{1} << role;
  return mask;
}

enum class Op { kCausal, kNoncausal, kAccumulate, kReadout, kDecode };

struct Operator {
  const char* name;
  Op op;
  uint64_t required, optional;  // bits 1 << role
  const char* kernels;          // their names, with blanks between
  bool takes(uint32_t role) const { return ((required | optional) >> role & 1) != 0; }
  bool uses(std::string_view kernel) const;
  bool built() const;  // not cut out of this library
};

std::span<const Operator> operators();  // those that were cut out too
const Operator* find_operator(const char* name);

struct RoleRule {
  uint32_t role;
  const char *name, *shape;  // as messages show them
  int min_rank, max_rank;
  enum Kind { kFloat, kFloat32, kInteger } kind;
  int contiguous;  // how many of the innermost dimensions must be dense
  int free;        // how many of the outermost extents a plan may leave open
  bool output;
};
const RoleRule* find_role(uint32_t role);
constexpr uint32_t kRoles = 32;

}  // namespace lathe
