#include "operators.h"

#include <algorithm>
#include <cstring>

namespace lathe {

namespace {

constexpr uint64_t kKeys = bits({LATHE_STABILISER, LATHE_MIXTURE});
constexpr uint64_t kSequences = bits({LATHE_LENGTHS, LATHE_CU_SEQLENS, LATHE_SLOTS, LATHE_POSITION, LATHE_PROJECTION});
constexpr uint64_t kOut = bits({LATHE_STATE_OUT, LATHE_Z_OUT});
constexpr uint64_t kIn = bits({LATHE_STATE_IN, LATHE_Z_IN});

constexpr uint64_t kGates =
    bits({LATHE_GATE, LATHE_DECAY, LATHE_BONUS, LATHE_DT, LATHE_DT_BIAS, LATHE_SKIP, LATHE_OUT_GATE, LATHE_BETA});
constexpr uint64_t kRankOne = bits({LATHE_A, LATHE_B});
constexpr uint64_t kMomentum = bits({LATHE_STEP_SIZE, LATHE_MOMENTUM_IN});
constexpr uint64_t kForwardMomentum = bits({LATHE_MOMENTUM_OUT, LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT});
constexpr uint64_t kTokens = bits({LATHE_Q, LATHE_K, LATHE_V, LATHE_O});
constexpr uint64_t kBackward = bits({LATHE_Q, LATHE_K, LATHE_V, gradient_of(LATHE_O)});
constexpr uint64_t kGradients =
    bits({gradient_of(LATHE_Q), gradient_of(LATHE_K), gradient_of(LATHE_V), gradient_of(LATHE_STATE_IN),
          gradient_of(LATHE_STATE_OUT), gradient_of(LATHE_Z_IN), gradient_of(LATHE_Z_OUT),
          gradient_of(LATHE_PROJECTION), gradient_of(LATHE_MIXTURE)});
constexpr uint64_t kGateGradients = kGates << (kRoles / 2);
constexpr uint64_t kMomentumGradients = bits({gradient_of(LATHE_MOMENTUM_IN), gradient_of(LATHE_MOMENTUM_OUT)});

constexpr Operator kOperators[] = {
#define LATHE_OPERATOR(name, op, required, optional, kernels) {#name, Op::op, required, optional, kernels},
#include "operators.def"
#undef LATHE_OPERATOR
};

bool has_word(std::string_view words, std::string_view word) {
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

constexpr RoleRule kRules[] = {
    {LATHE_Q, "Q", "[B,T,HQ,D]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_K, "K", "[B,T,HK,D] or [B,T,HK,M,D]", 4, 5, RoleRule::kFloat, 1, 2, false},
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
    {LATHE_GATE, "GATE", "[B,T,max(HK,HV)] or [B,T,max(HK,HV),K]", 3, 4, RoleRule::kFloat, 0, 2, false},
    {LATHE_BETA, "BETA", "[B,T,max(HK,HV)]", 3, 3, RoleRule::kFloat, 0, 2, false},
    {LATHE_BONUS, "BONUS", "[max(HK,HV),K]", 2, 2, RoleRule::kFloat32, 1, 0, false},
    {LATHE_DT, "DT", "[B,T,max(HK,HV)]", 3, 3, RoleRule::kFloat, 0, 2, false},
    {LATHE_DT_BIAS, "DT_BIAS", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, false},
    {LATHE_SKIP, "SKIP", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, false},
    {LATHE_OUT_GATE, "OUT_GATE", "[B,T,max(HQ,HV),V]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_DECAY, "DECAY", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, false},
    {LATHE_MIXTURE, "MIXTURE", "[HK,M]", 2, 2, RoleRule::kFloat32, 1, 0, false},
    {gradient_of(LATHE_MIXTURE), "GRAD_MIXTURE", "[HK,M]", 2, 2, RoleRule::kFloat32, 1, 0, true},
    {LATHE_STEP_SIZE, "STEP_SIZE", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, false},
    {LATHE_MOMENTUM_IN, "MOMENTUM_IN", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, false},
    {LATHE_MOMENTUM_OUT, "MOMENTUM_OUT", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, true},
    {LATHE_LAST_TOKEN_IN, "LAST_TOKEN_IN", "[N,max(HK,HV),K+V]", 3, 3, RoleRule::kFloat32, 1, 1, false},
    {LATHE_LAST_TOKEN_OUT, "LAST_TOKEN_OUT", "[N,max(HK,HV),K+V]", 3, 3, RoleRule::kFloat32, 1, 1, true},
    {LATHE_A, "A", "[B,T,max(HK,HV),K]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {LATHE_B, "B", "[B,T,max(HK,HV),K]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {gradient_of(LATHE_Q), "GRAD_Q", "[B,T,HQ,D]", 4, 4, RoleRule::kFloat, 1, 2, true},
    {gradient_of(LATHE_K), "GRAD_K", "[B,T,HK,D] or [B,T,HK,M,D]", 4, 5, RoleRule::kFloat, 1, 2, true},
    {gradient_of(LATHE_V), "GRAD_V", "[B,T,HV,V]", 4, 4, RoleRule::kFloat, 1, 2, true},
    {gradient_of(LATHE_O), "GRAD_O", "[B,T,max(HQ,HV),V]", 4, 4, RoleRule::kFloat, 1, 2, false},
    {gradient_of(LATHE_STATE_IN), "GRAD_STATE_IN", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, true},
    {gradient_of(LATHE_STATE_OUT), "GRAD_STATE_OUT", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, false},
    {gradient_of(LATHE_Z_IN), "GRAD_Z_IN", "[N,HK,K]", 3, 3, RoleRule::kFloat32, 1, 1, true},
    {gradient_of(LATHE_Z_OUT), "GRAD_Z_OUT", "[N,HK,K]", 3, 3, RoleRule::kFloat32, 1, 1, false},
    {gradient_of(LATHE_PROJECTION), "GRAD_PROJECTION", "[M,D] or [HQ,M,D]", 2, 3, RoleRule::kFloat32, 1, 0, true},
    {gradient_of(LATHE_GATE), "GRAD_GATE", "[B,T,max(HK,HV)] or [B,T,max(HK,HV),K]", 3, 4, RoleRule::kFloat, 0, 2,
     true},
    {gradient_of(LATHE_BETA), "GRAD_BETA", "[B,T,max(HK,HV)]", 3, 3, RoleRule::kFloat, 0, 2, true},
    {gradient_of(LATHE_BONUS), "GRAD_BONUS", "[max(HK,HV),K]", 2, 2, RoleRule::kFloat32, 1, 0, true},
    {gradient_of(LATHE_DT), "GRAD_DT", "[B,T,max(HK,HV)]", 3, 3, RoleRule::kFloat, 0, 2, true},
    {gradient_of(LATHE_DT_BIAS), "GRAD_DT_BIAS", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, true},
    {gradient_of(LATHE_SKIP), "GRAD_SKIP", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, true},
    {gradient_of(LATHE_OUT_GATE), "GRAD_OUT_GATE", "[B,T,max(HQ,HV),V]", 4, 4, RoleRule::kFloat, 1, 2, true},
    {gradient_of(LATHE_DECAY), "GRAD_DECAY", "[max(HK,HV)]", 1, 1, RoleRule::kFloat32, 0, 0, true},
    {gradient_of(LATHE_MOMENTUM_IN), "GRAD_MOMENTUM_IN", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, true},
    {gradient_of(LATHE_MOMENTUM_OUT), "GRAD_MOMENTUM_OUT", "[N,max(HK,HV),K,V]", 4, 4, RoleRule::kFloat32, 2, 1, false},
};

}  // namespace

bool Operator::uses(std::string_view kernel) const { return has_word(kernels, kernel); }
bool Operator::built() const { return has_word(LATHE_BUILT_OPS, name); }

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
