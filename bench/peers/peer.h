// The C interface between the benchmark and a peer that is compiled into a shared library of its own. One problem is
// set up, run many times on the caller's buffers, and closed. Nothing here throws or exits.
#ifndef LATHE_BENCH_PEER_H
#define LATHE_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PEER_BTHD = 0, PEER_BHTD = 1 };

typedef struct {
  const char* op;       // "causal", "noncausal", "decode", "causal_backward"
  const char* variant;  // "plain", "decay", "gate", "gate_key", "rwkv6", "rwkv7", "ssd", "delta", "gated_delta", "kda"
  const char* map;      // "identity", "elu1"
  int32_t normalise, layout, threads;
  int64_t batch, tokens, heads, key_width, value_width;
  float scale;
  const float *q, *k, *v;
  const float* log_gates;     // [B,T,H,gate_width]: of a variant that decays; null = none
  int64_t gate_width;         // 1, or key_width
  const float* bonus;         // [H,K] of rwkv6
  const float* steps;         // [B,T,H] of ssd, whose log_gates are [H]: of a step of 1
  const float* betas;         // [B,T,H] of the delta rule
  const float *reads, *adds;  // [B,T,H,K] of rwkv7
  const float* state_in;      // [B,H,K,V]; null = zeros
  const float* d_o;           // of a gradient, and what is made of it
  float *d_q, *d_k, *d_v;
  float* o;  // the output, followed by room for one more state [B,H,K,V]: ggml writes both into one tensor
} PeerProblem;

// Null when the peer cannot do this problem; why then says so.
typedef void* (*PeerOpen)(const PeerProblem* problem, char* why, size_t capacity);
typedef void (*PeerRun)(void* peer);
typedef void (*PeerClose)(void* peer);

__attribute__((visibility("default"))) void* peer_open(const PeerProblem* problem, char* why, size_t capacity);
__attribute__((visibility("default"))) void peer_run(void* peer);
__attribute__((visibility("default"))) void peer_close(void* peer);

#ifdef __cplusplus
}
#endif
#endif
