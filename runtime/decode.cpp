// The recurrence itself, token by token, on the caller's own state where its width allows.
#include <cmath>
#include <cstring>

#include "run.h"

namespace lathe {

namespace {

// z <- a z + k, and q.z. Sixteen sums side by side: the order of additions must not depend on the compiler.
float advance_z(const float* q, const float* k, const float* z_in, float* z, float a, int64_t keys) {
  float sums[16] = {};
  int64_t key = 0;
  for (; key + 16 <= keys; key += 16)
    for (int64_t u = 0; u < 16; u++) {
      z[key + u] = a * z_in[key + u] + k[key + u];
      sums[u] += q[key + u] * z[key + u];
    }
  for (; key < keys; key++) {
    z[key] = a * z_in[key] + k[key];
    sums[key % 16] += q[key] * z[key];
  }
  float sum = 0;
  for (float part : sums) sum += part;
  return sum;
}

struct Token {
  Worker& w;
  const Plan& plan;
  const Problem& p;
  const Sequence& s;
  const Group group;

  bool in_place() const { return p[LATHE_STATE_OUT].present() && p.sizes.V % 16 == 0; }

  float inverse(float denominator) const {
    const Meaning& m = plan.meaning;
    return 1.f / (m.flags & LATHE_DENOM_MAX ? std::max(denominator, m.eps) : denominator + m.eps);
  }

  // The state to read and the one to write: rows of width V in place, else padded copies in scratch.
  float* write_state(int64_t head, int64_t value) const {
    return in_place() ? p[LATHE_STATE_OUT].floats(s.state, head) : w.state(0, value);
  }

  const float* read_state(bool first, int64_t head, float* write) const {
    const Tensor& in = p[LATHE_STATE_IN];
    if (!first) return write;
    if (in_place()) {
      if (in.present()) return in.floats(s.state, head);
      std::memset(write, 0, static_cast<size_t>(p.sizes.K * p.sizes.V) * 4);
      return write;
    }
    w.load_state(in, s.state, head, write);
    return write;
  }

  float normaliser(int64_t key_head, const float* q, const float* k, float a, bool first) const {
    if (first) w.load_z(p[LATHE_Z_IN], s.state, key_head, w.z(0));
    return advance_z(q, k, w.z(0), w.next_z(0), a, p.sizes.K);
  }

  void step(int64_t t, int64_t key_head) const {
    const Sizes& sizes = p.sizes;
    const bool first = t == 0;
    const int64_t width = in_place() ? sizes.V : plan.padded.V;
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(sizes.state_heads(), key_head, value);
      float a = plan.meaning.decay ? std::exp(*p[LATHE_DECAY].floats(head)) : 1.f;
      w.pack_value_row(s, t, group.head(sizes.HV, key_head, value), width, w.v());
      float* state = write_state(head, value);
      const float* before = read_state(first, head, state);
      bool advanced = false;
      for (int64_t l = 0; l < group.outputs(); l++) {
        if (group.value_of(l) != value) continue;
        const float* q_row = w.q() + group.query_of(l) * plan.padded.K;
        float inv = plan.meaning.normalise() ? inverse(normaliser(key_head, q_row, w.k(), a, first)) : 1.f;
        Buffer q(q_row, sizes.K), k(w.k(), sizes.K), v(w.v(), width), h(before, width, sizes.K, width);
        Buffer next(state, width, sizes.K, width), o(w.o(), width);
        if (advanced)
          call(*plan.kernels.recall, q, next, inv, o);
        else
          call(*plan.kernels.decode, q, k, v, h, a, inv, next, o);
        advanced = true;
        w.store(w.o(), width, p[LATHE_O].at(s.batch, s.first + t, group.head(sizes.out_heads(), key_head, l)), 0, 1);
      }
      if (const Tensor& snapshots = p[LATHE_SNAPSHOTS]; snapshots.present())
        snapshot(state, width, snapshots.floats(s.batch, s.first + t, head));
      if (t + 1 == s.queries && !in_place()) w.save_state(state, p[LATHE_STATE_OUT], s.state, head);
    }
    if (!plan.meaning.normalise()) return;
    std::copy_n(w.next_z(0), sizes.K, w.z(0));
    if (t + 1 == s.queries) w.save_z(w.z(0), p[LATHE_Z_OUT], s.state, key_head);
  }

  void snapshot(const float* state, int64_t width, float* out) const {
    for (int64_t key = 0; key < p.sizes.K; key++) std::memcpy(out + key * p.sizes.V, state + key * width, static_cast<size_t>(p.sizes.V) * 4);
  }
};

}  // namespace

void decode_sequence(Worker& w, const Sequence& s, int64_t first_head, int64_t heads) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Group group{p.sizes, plan.meaning.tiled()};
  const Token token{w, plan, p, s, group};
  const int64_t queries = p.sizes.HQ / p.sizes.HK, query_step = group.tiled ? p.sizes.HK : 1;
  for (int64_t key_head = first_head; key_head < first_head + heads; key_head++)
    for (int64_t t = 0; t < s.queries; t++) {
      w.map_token(LATHE_Q, s, t, group.head(p.sizes.HQ, key_head, 0), query_step, queries, plan.meaning.scale, w.q());
      w.map_token(LATHE_K, s, t, key_head, 1, 1, 1, w.k());
      token.step(t, key_head);
    }
}

void run_decode(Worker& w, const Unit& unit) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Sequence s = sequence(p, unit.sequence);
  const Group group{p.sizes, plan.meaning.tiled()};
  for (int64_t h = unit.head; h < unit.head + unit.heads; h++) {
    for (int64_t l = 0; l < group.outputs(); l++) w.zero_outputs(s, group.head(p.sizes.out_heads(), h, l));
    if (s.queries > 0) continue;
    // nothing to decode: the state passes through
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(p.sizes.state_heads(), h, value);
      w.load_state(p[LATHE_STATE_IN], s.state, head, w.state(0, value));
      w.save_state(w.state(0, value), p[LATHE_STATE_OUT], s.state, head);
    }
    w.load_z(p[LATHE_Z_IN], s.state, h, w.z(0));
    w.save_z(w.z(0), p[LATHE_Z_OUT], s.state, h);
  }
  decode_sequence(w, s, unit.head, unit.heads);
}

}  // namespace lathe
