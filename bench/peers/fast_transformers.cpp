// fast-transformers' causal product (its own C++ file, included as it is), bare: the library applies feature map and
// normaliser outside of it, in torch.
#include <omp.h>

#include <cstdio>
#include <cstring>

#include "peer.h"

#define TORCH_EXTENSION_NAME causal_product_module
#include "causal_product_cpu.cpp"

namespace {

struct CausalProduct {
  torch::Tensor q, k, v, o, d_q, d_k, d_v;
  bool backward;
  int threads;
};

torch::Tensor view_of(const float* data, const PeerProblem& p, int64_t width) {
  const bool by_head = p.layout == PEER_BHTD;
  const int64_t token_stride = by_head ? width : p.heads * width;
  const int64_t head_stride = by_head ? p.tokens * width : width;
  return torch::Tensor(const_cast<float*>(data), {p.batch, p.heads, p.tokens, width},
                       {p.tokens * p.heads * width, head_stride, token_stride, 1});
}

}  // namespace

void* peer_open(const PeerProblem* problem, char* why, size_t capacity) {
  const PeerProblem& p = *problem;
  const bool backward = strcmp(p.op, "causal_backward") == 0;
  if (!backward && strcmp(p.op, "causal") != 0) {
    snprintf(why, capacity, "has no such operator");
    return nullptr;
  }
  if (strcmp(p.map, "identity") != 0 || p.normalise != 0 || p.scale != 1.0f) {
    snprintf(why, capacity, "its compiled part has neither feature maps, nor a normaliser, nor a scale");
    return nullptr;
  }
  return new CausalProduct{view_of(p.q, p, p.key_width),
                           view_of(p.k, p, p.key_width),
                           view_of(p.v, p, p.value_width),
                           view_of(backward ? p.d_o : p.o, p, p.value_width),
                           view_of(p.d_q, p, p.key_width),
                           view_of(p.d_k, p, p.key_width),
                           view_of(p.d_v, p, p.value_width),
                           backward,
                           p.threads};
}

void peer_run(void* peer) {
  auto* product = static_cast<CausalProduct*>(peer);
  omp_set_num_threads(product->threads);
  if (!product->backward) return causal_dot_product(product->q, product->k, product->v, product->o);
  causal_dot_backward(product->q, product->k, product->v, product->o, product->d_q, product->d_k, product->d_v);
}

void peer_close(void* peer) { delete static_cast<CausalProduct*>(peer); }
