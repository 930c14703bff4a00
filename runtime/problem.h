// The arguments of a call, bound to their roles, with their extents agreed.
#pragma once

#include <array>
#include <cstddef>

#include "lathe.h"
#include "maps.h"
#include "operators.h"
#include "tensor.h"
#include "variants.h"

namespace lathe {

constexpr int64_t kFree = -1;  // an extent that a plan leaves open

struct Sizes {
  int64_t B = kFree, Tq = kFree, Tk = kFree;  // Tq of queries and outputs, Tk of keys and values
  int64_t N = kFree;                          // sequences
  int64_t states = kFree;                     // rows of the state tensors: N, or the number of slots
  int64_t HQ = 1, HK = 1, HV = 1, D = 0, M = 0, K = 0, V = 0;
  int64_t keys = 1;  // of a token and key head, which its mixture is made of
  int64_t state_heads() const { return HK > HV ? HK : HV; }
  int64_t out_heads() const { return HQ > HV ? HQ : HV; }
};

// What a description means once its names are looked up.
struct Meaning {
  const Operator* op = nullptr;
  const FeatureMap* map = nullptr;
  const Variant* variant = nullptr;
  double attribute = 0;  // of the map
  bool attribute_given = false;
  float scale = 1, eps = 0;
  uint64_t flags = 0;
  bool normalise() const { return (flags & LATHE_NORMALISE) != 0; }
  bool denom_max() const { return (flags & LATHE_DENOM_MAX) != 0; }  // eps is the least denominator, else added to it
  bool stabilise() const { return (flags & LATHE_STABILISE) != 0; }
  bool gated() const { return variant->decays() || stabilise(); }  // the state shrinks between tokens
  bool tiled() const { return (flags & LATHE_HEADS_TILED) != 0; }
  bool softplus() const { return (flags & LATHE_SOFTPLUS) != 0; }
  // Mapped rows of Q or K count as directions only.
  bool unit(uint32_t role) const { return (flags & (role == LATHE_K ? LATHE_UNIT_KEYS : LATHE_UNIT_QUERIES)) != 0; }
  bool sigmoid() const { return (flags & LATHE_SIGMOID) != 0; }
  float largest_beta() const { return (flags & LATHE_REFLECT) != 0 ? 2.f : 1.f; }
  bool mixes_first() const { return (flags & LATHE_MIX_FIRST) != 0; }
  // Tokens are taken by the recurrence itself, a few at a time. Gradients have the form of chunks; so have queries that
  // share a state, which in chunks is computed once for all of them, but where keys have gates and nothing corrects.
  bool by_recurrence(const Sizes& sizes) const {
    return op->op == Op::kCausal && !variant->adapts() &&
           (sizes.out_heads() == sizes.state_heads() || (variant->keyed() && !variant->corrects()));
  }
  bool clamps() const { return (flags & LATHE_CLAMP_GATES) != 0; }
};

// Keys that are mixed are [B,T,HK,D,M] here, as the first of them are of [B,T,HK,D] elsewhere.
struct Problem {
  std::array<Tensor, kRoles> tensors;
  Sizes sizes;
  int32_t device = kCpu;  // of all tensors but those of whole numbers, which are the host's
  const Tensor& operator[](uint32_t role) const { return tensors[role]; }
  bool mixes() const { return tensors[LATHE_MIXTURE].present(); }
  bool wants_gradient(uint32_t role) const { return tensors[gradient_of(role)].present(); }
  bool wants_gate_gradients() const {
    return wants_gradient(LATHE_GATE) || wants_gradient(LATHE_DECAY) || wants_gradient(LATHE_BONUS) ||
           wants_gradient(LATHE_DT) || wants_gradient(LATHE_DT_BIAS);
  }
};

// Log of what each of n tokens, from token t of row b of the batch on, leaves of the state of a head; dt are their
// steps, where the variant has them.
void log_decays(const Meaning& meaning, const Problem& problem, int64_t b, int64_t t, int64_t n, int64_t head,
                float* out, const float* dt = nullptr);

// Throws Error naming the argument, what was expected and what came. With `planning`, extents may be free and data is
// not looked at; without, data must be there and aligned.
Problem bind(const Meaning& meaning, const lathe_arg* args, size_t n_args, bool planning);

}  // namespace lathe
