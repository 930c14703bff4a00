#include "operators.h"

#include <cstring>

namespace lathe {

namespace {

constexpr uint64_t bits(std::initializer_list<int> roles) {
  uint64_t mask = 0;
  for (int role : roles) mask |= uint64_t{1} << role;
  return mask;
}

constexpr uint64_t kKeys = bits({LATHE_STABILISER});
constexpr uint64_t kSequences = bits({LATHE_LENGTHS, LATHE_CU_SEQLENS, LATHE_SLOTS, LATHE_POSITION, LATHE_PROJECTION});
constexpr uint64_t kOut = bits({LATHE_STATE_OUT, LATHE_Z_OUT});
constexpr uint64_t kIn = bits({LATHE_STATE_IN, LATHE_Z_IN});

constexpr Operator kOperators[] = {
    {"causal", Op::kCausal, bits({LATHE_Q, LATHE_K, LATHE_V, LATHE_O}),
     kSequences | kKeys | kIn | kOut | bits({LATHE_DECAY})},
    {"noncausal", Op::kNoncausal, bits({LATHE_Q, LATHE_K, LATHE_V, LATHE_O}), kSequences | kKeys | kIn | kOut},
    {"accumulate", Op::kAccumulate, bits({LATHE_K, LATHE_V, LATHE_STATE_OUT}),
     kSequences | kKeys | kIn | bits({LATHE_Z_OUT})},
    {"readout", Op::kReadout, bits({LATHE_Q, LATHE_STATE_IN, LATHE_O}), kSequences | bits({LATHE_Z_IN})},
    {"decode", Op::kDecode, bits({LATHE_Q, LATHE_K, LATHE_V, LATHE_O}),
     kSequences | kKeys | kIn | kOut | bits({LATHE_DECAY, LATHE_SNAPSHOTS})},
};

constexpr RoleRule kRules[] = {
    {LATHE_Q, "Q", "[B,T,HQ,D]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_K, "K", "[B,T,HK,D]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_V, "V", "[B,T,HV,V]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_O, "O", "[B,T,max(HQ,HV),V]", 4, 4, RoleRule::kFloat, 1, 2, true},
    {LATHE_STATE_IN, "STATE_IN", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, false},
    {LATHE_STATE_OUT, "STATE_OUT", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, true},
    {LATHE_Z_IN, "Z_IN", "[N,HK,K]", 3, 3, RoleRule::kFloat32, 1, 1, false},
    {LATHE_Z_OUT, "Z_OUT", "[N,HK,K]", 3, 3, RoleRule::kFloat32, 1, 1, true},
    {LATHE_STABILISER, "STABILISER", "[N,HK]", 2, 2, RoleRule::kFloat32, 0, 1, true},
    {LATHE_LENGTHS, "LENGTHS", "[B]", 1, 1, RoleRule::kInteger, 0, 1, false},
    {LATHE_CU_SEQLENS, "CU_SEQLENS", "[N+1]", 1, 1, RoleRule::kInteger, 0, 1, false},
    {LATHE_SLOTS, "SLOTS", "[N]", 1, 1, RoleRule::kInteger, 0, 1, false},
    {LATHE_POSITION, "POSITION", "[N]", 1, 1, RoleRule::kInteger, 0, 1, false},
    {LATHE_PROJECTION, "PROJECTION", "[M,D] or [HQ,M,D]", 2, 3, RoleRule::kFloat32, 1, 0, false},
    {LATHE_SNAPSHOTS, "SNAPSHOTS", "[B,T,max(HK,HV),K,V]", 5, 5, RoleRule::kFloat32, 2, 2, true},
    {LATHE_DECAY, "DECAY", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, false},
};

}  // namespace

std::span<const Operator> operators() { return kOperators; }

const Operator* find_operator(const char* name) {
  for (const Operator& o : kOperators)
    if (std::strcmp(o.name, name) == 0) return &o;
  return nullptr;
}

const RoleRule* find_role(uint32_t role) {
  for (const RoleRule& r : kRules)
    if (r.role == role) return &r;
  return nullptr;
}

}  // namespace lathe
