// ggml's own recurrences on its CPU backend: gated_linear_attn, which always multiplies the state by a gate (the plain
// recurrence is a gate of one, which is how its own models would run it), rwkv_wkv6, rwkv_wkv7, ssm_scan, and
// gated_delta_net.
#include "ggml.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "ggml-cpu.h"
#include "peer.h"

namespace {

struct GgmlPeer {
  ggml_context* context = nullptr;
  ggml_threadpool* pool = nullptr;
  ggml_cgraph* graph = nullptr;
  ggml_cplan plan = {};
  std::vector<uint8_t> work;
  std::vector<float> gates, steps, state, queries;
  int32_t sequence = 0;

  ~GgmlPeer() {
    if (pool != nullptr) {
      ggml_threadpool_free(pool);
    }
    ggml_free(context);
  }
};

const char* refusal(const PeerProblem& p) {
  if (strcmp(p.op, "causal") != 0 && strcmp(p.op, "decode") != 0) {
    return "has no such operator";
  }
  if (strcmp(p.map, "identity") != 0 || p.normalise != 0) {
    return "has neither feature maps nor a normaliser";
  }
  if (p.key_width != p.value_width) {
    return "needs K = V";
  }
  if (p.steps != nullptr && p.batch != 1) {
    return "is asked for one sequence of steps";
  }
  return p.layout != PEER_BTHD && p.tokens > 1 ? "takes [B,T,H,D] only" : nullptr;
}

ggml_tensor* view_of(ggml_context* context, const float* data, int64_t n0, int64_t n1, int64_t n2, int64_t n3 = 1) {
  ggml_tensor* tensor = ggml_new_tensor_4d(context, GGML_TYPE_F32, n0, n1, n2, n3);
  tensor->data = const_cast<float*>(data);
  return tensor;
}

// Some of its states have a row for each value.
void turn_state(GgmlPeer& peer, const PeerProblem& p) {
  const int64_t width = p.key_width;
  for (int64_t i = 0; p.state_in != nullptr && i < static_cast<int64_t>(peer.state.size()); i++) {
    const int64_t head = i / (width * width), value = i / width % width, key = i % width;
    peer.state[static_cast<size_t>(i)] = p.state_in[(head * width + key) * width + value];
  }
}

// Steps go through its softplus.
ggml_tensor* ssm_scan(GgmlPeer& peer, const PeerProblem& p) {
  const int64_t width = p.key_width, tokens = p.tokens;
  turn_state(peer, p);
  for (int64_t i = 0; i < tokens * p.heads; i++) peer.steps.push_back(std::log(std::expm1(p.steps[i])));
  ggml_context* context = peer.context;
  ggml_tensor* ids = ggml_new_tensor_1d(context, GGML_TYPE_I32, 1);
  ids->data = &peer.sequence;
  const auto rows = [&](const float* data) { return view_of(context, data, width, p.heads, tokens); };
  return ggml_ssm_scan(context, view_of(context, peer.state.data(), width, width, p.heads), rows(p.v),
                       view_of(context, peer.steps.data(), p.heads, tokens, 1),
                       view_of(context, p.log_gates, 1, p.heads, 1), rows(p.k), rows(p.q), ids, 1);
}

ggml_tensor* linear(GgmlPeer& peer, const PeerProblem& p) {
  const int64_t width = p.key_width, tokens = p.batch * p.tokens;
  for (int64_t i = 0; i < width * p.heads * tokens; i++)
    peer.gates.push_back(p.log_gates == nullptr ? 1.0f : std::exp(p.log_gates[i * p.gate_width / width]));
  ggml_context* context = peer.context;
  const auto rows = [&](const float* data) { return view_of(context, data, width, p.heads, tokens); };
  ggml_tensor* state =
      view_of(context, p.state_in == nullptr ? peer.state.data() : p.state_in, width * width * p.heads, p.batch, 1);
  if (p.reads != nullptr) {
    turn_state(peer, p);
    return ggml_rwkv_wkv7(context, rows(p.q), rows(peer.gates.data()), rows(p.k), rows(p.v), rows(p.reads),
                          rows(p.adds), view_of(context, peer.state.data(), width * width * p.heads, p.batch, 1));
  }
  if (p.bonus != nullptr)
    return ggml_rwkv_wkv6(context, rows(p.k), rows(p.v), rows(p.q), view_of(context, p.bonus, width, p.heads, 1),
                          rows(peer.gates.data()), state);
  return ggml_gated_linear_attn(context, rows(p.k), rows(p.v), rows(p.q), rows(peer.gates.data()), state, p.scale);
}

// Its gates are logs, and it scales outputs by K^-1/2, for which queries make up.
ggml_tensor* delta(GgmlPeer& peer, const PeerProblem& p) {
  const int64_t width = p.key_width, rows = p.batch * p.tokens * p.heads;
  for (int64_t i = 0; i < rows * p.gate_width; i++) {
    peer.gates.push_back(p.log_gates == nullptr ? 0.0f : p.log_gates[i]);
  }
  const float scale = p.scale * std::sqrt(static_cast<float>(width));
  for (int64_t i = 0; i < rows * width; i++) {
    peer.queries.push_back(p.q[i] * scale);
  }
  turn_state(peer, p);
  ggml_context* context = peer.context;
  const auto by_token = [&](const float* data, int64_t n) {
    return view_of(context, data, n, p.heads, p.tokens, p.batch);
  };
  return ggml_gated_delta_net(context, by_token(peer.queries.data(), width), by_token(p.k, width), by_token(p.v, width),
                              by_token(peer.gates.data(), p.gate_width), by_token(p.betas, 1),
                              view_of(context, peer.state.data(), width, width, p.heads, p.batch), 1);
}

}  // namespace

void* peer_open(const PeerProblem* problem, char* why, size_t capacity) {
  const PeerProblem& p = *problem;
  if (const char* reason = refusal(p)) {
    snprintf(why, capacity, "%s", reason);
    return nullptr;
  }
  auto peer = std::make_unique<GgmlPeer>();
  const size_t overhead = 16 * ggml_tensor_overhead() + ggml_graph_overhead();
  peer->context = ggml_init({.mem_size = overhead, .mem_buffer = nullptr, .no_alloc = true});
  if (peer->context == nullptr) {
    snprintf(why, capacity, "ggml_init failed");
    return nullptr;
  }
  peer->state.assign(static_cast<size_t>(p.batch * p.heads * p.key_width * p.key_width), 0.0f);
  ggml_tensor* out = p.betas != nullptr ? delta(*peer, p) : p.steps != nullptr ? ssm_scan(*peer, p) : linear(*peer, p);
  out->data = p.o;
  peer->graph = ggml_new_graph(peer->context);
  ggml_build_forward_expand(peer->graph, out);
  if (p.threads > 1) {
    // Without polling, so that its sleeping workers do not disturb the other side of a pair.
    ggml_threadpool_params params = ggml_threadpool_params_default(p.threads);
    params.poll = 0;
    peer->pool = ggml_threadpool_new(&params);
  }
  peer->plan = ggml_graph_plan(peer->graph, p.threads, peer->pool);
  peer->work.resize(peer->plan.work_size);
  peer->plan.work_data = peer->work.data();
  return peer.release();
}

void peer_run(void* peer) {
  auto* ggml = static_cast<GgmlPeer*>(peer);
  ggml_graph_compute(ggml->graph, &ggml->plan);
}

void peer_close(void* peer) { delete static_cast<GgmlPeer*>(peer); }
