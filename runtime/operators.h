// Operators, and which tensors each takes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "lathe.h"

namespace lathe {

constexpr uint64_t bits(std::initializer_list<uint32_t> roles) {
  uint64_t mask = 0;
  for (uint32_t role : roles) mask |= uint64_t{1} << role;
  return mask;
}

enum class Op { kCausal, kNoncausal, kAccumulate, kReadout, kDecode, kCausalBackward, kNoncausalBackward };

struct Operator {
  const char* name;
  Op op;
  uint64_t required, optional;  // bits 1 << role
  const char* kernels;          // their names, with blanks between
  bool backward() const { return op == Op::kCausalBackward || op == Op::kNoncausalBackward; }
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
// Roles by number, gradients behind the others.
constexpr uint32_t kRoles = 64;
constexpr uint32_t gradient_of(uint32_t role) { return kRoles / 2 + role; }
// As lathe.h has it.
constexpr uint32_t named(uint32_t number) {
  return number < kRoles / 2 ? number : uint32_t{LATHE_GRAD} | (number - kRoles / 2);
}
// Of a role as lathe.h has it; kRoles where it has none such.
constexpr uint32_t numbered(uint32_t role) {
  const uint32_t plain = role & ~uint32_t{LATHE_GRAD};
  return plain >= kRoles / 2 ? kRoles : plain == role ? role : gradient_of(plain);
}

}  // namespace lathe
