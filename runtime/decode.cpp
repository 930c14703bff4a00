// The recurrence itself, token by token, on the caller's own state where its width allows.
#include <cmath>
#include <cstring>
#include <limits>

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

// Keys of one call: its part of a state stays in the first-level cache for the sums that follow the update, and from
// memory the update of the next block is already under way. Blocks of 64 keys lost 8 to 12 % from memory, 8 lost 10 %
// in cache. Asking for the next head's state beforehand lost up to 20 %: the processor's own prefetcher is disturbed.
constexpr int64_t kKeys = 32;

struct Token {
  Worker& w;
  const Plan& plan;
  const Problem& p;
  const Sequence& s;
  const Group group;
  int64_t first, together;  // the key heads whose features lie side by side in scratch
  float kept;               // what a rising stabiliser leaves of the state

  const float* query_row(int64_t key_head, int64_t query) const {
    const int64_t h = key_head - first;
    return w.q() + (group.tiled ? query * together + h : h * (p.sizes.HQ / p.sizes.HK) + query) * plan.padded.K;
  }

  bool in_place() const { return p[LATHE_STATE_OUT].present() && p.sizes.V % 16 == 0; }

  float inverse(float denominator) const {
    const Meaning& m = plan.meaning;
    return 1.f / (m.denom_max() ? std::max(denominator, m.eps) : denominator + m.eps);
  }

  // The state to read and the one to write: rows of width V in place, else padded copies in scratch.
  float* write_state(int64_t head, int64_t value) const {
    return in_place() ? p[LATHE_STATE_OUT].floats(s.state, head) : w.state(0, value);
  }

  const float* read_state(bool first_token, int64_t head, float* write) const {
    const Tensor& in = p[LATHE_STATE_IN];
    if (!first_token) return write;
    if (in_place()) {
      if (in.present()) return in.floats(s.state, head);
      std::memset(write, 0, static_cast<size_t>(p.sizes.K * p.sizes.V) * 4);
      return write;
    }
    w.load_state(in, s.state, head, write);
    return write;
  }

  float normaliser(int64_t key_head, const float* q, const float* k, float a, bool first_token) const {
    if (first_token) w.load_z(p[LATHE_Z_IN], s.state, key_head, w.z(0));
    return advance_z(q, k, w.z(0), w.next_z(0), a, p.sizes.K);
  }

  void step(int64_t t, int64_t key_head) const {
    const Sizes& sizes = p.sizes;
    const bool first_token = t == 0;
    const float* k_row = w.k() + (key_head - first) * plan.padded.K;
    const int64_t width = in_place() ? sizes.V : plan.padded.V;
    for (int64_t value = 0; value < group.values(); value++) {
      const int64_t head = group.head(sizes.state_heads(), key_head, value);
      float a = kept * (plan.meaning.variant->decays() ? std::exp(log_decay(plan.meaning, p, head)) : 1.f);
      w.pack_value_row(s, t, group.head(sizes.HV, key_head, value), width, w.v());
      float* state = write_state(head, value);
      const float* before = read_state(first_token, head, state);
      bool advanced = false;
      for (int64_t l = 0; l < group.outputs(); l++) {
        if (group.value_of(l) != value) continue;
        const float* q_row = query_row(key_head, group.query_of(l));
        float inv = plan.meaning.normalise() ? inverse(normaliser(key_head, q_row, k_row, a, first_token)) : 1.f;
        if (advanced) {
          Buffer q(q_row, sizes.K), next(state, width, sizes.K, width), o(w.o(), width);
          call(*plan.kernels.recall, q, next, inv, o);
        } else {
          advance(q_row, k_row, before, state, width, a, inv);
        }
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

  void advance(const float* q_row, const float* k_row, const float* before, float* state, int64_t width, float a,
               float inv) const {
    float one = 1;
    std::fill_n(w.o(), width, 0.f);
    Buffer q(q_row, kKeys), k(k_row, kKeys), v(w.v(), width), h(before, width, kKeys, width);
    Buffer next(state, width, kKeys, width), sums(w.o(), width), o(w.o(), width);
    for (int64_t key = 0; key < p.sizes.K; key += kKeys) {
      const int64_t keys = std::min(kKeys, p.sizes.K - key);
      q.move_to(q_row + key, keys);
      k.move_to(k_row + key, keys);
      h.move_to(before + key * width, width, keys);
      next.move_to(state + key * width, width, keys);
      call(*plan.kernels.decode, q, k, v, h, sums, a, key + keys == p.sizes.K ? inv : one, next, o);
    }
  }

  void snapshot(const float* state, int64_t width, float* out) const {
    for (int64_t key = 0; key < p.sizes.K; key++)
      std::memcpy(out + key * p.sizes.V, state + key * width, static_cast<size_t>(p.sizes.V) * 4);
  }
};

}  // namespace

void decode_sequence(Worker& w, const Sequence& s, int64_t first_head, int64_t heads) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Group group{p.sizes, plan.meaning.tiled()};
  const int64_t queries = p.sizes.HQ / p.sizes.HK;
  // the features of several heads in one call, where a single token leaves nothing to carry from head to head
  const int64_t together =
      s.queries == 1 && !plan.meaning.stabilise() ? std::max<int64_t>(1, plan.padded.C / queries) : 1;
  for (int64_t head = first_head; head < first_head + heads; head += together) {
    const int64_t n = std::min(together, first_head + heads - head);
    float* stabiliser = p[LATHE_STABILISER].present() ? p[LATHE_STABILISER].floats(s.state, head) : nullptr;
    float peak = stabiliser ? *stabiliser : -std::numeric_limits<float>::infinity();
    for (int64_t t = 0; t < s.queries; t++) {
      float kept = 1;
      w.map_token(LATHE_K, s, t, head, n, std::max(peak, std::numeric_limits<float>::lowest()), w.k());
      if (plan.meaning.stabilise()) {
        kept = std::exp(peak - w.peaks()[0]);
        peak = w.peaks()[0];
      }
      if (group.tiled)
        for (int64_t l = 0; l < queries; l++)
          w.map_token(LATHE_Q, s, t, l * p.sizes.HK + head, n, 0, w.q() + l * n * plan.padded.K);
      else
        w.map_token(LATHE_Q, s, t, head * queries, n * queries, 0, w.q());
      for (int64_t h = 0; h < n; h++) Token{w, plan, p, s, group, head, n, kept}.step(t, head + h);
    }
    if (stabiliser) *stabiliser = peak;
  }
}

void run_decode(Worker& w, const Unit& unit) {
  const Sequence s = sequence(w.problem(), unit.sequence);
  w.zero_outputs(s, unit);
  if (s.queries > 0) return decode_sequence(w, s, unit.head, unit.heads);
  // nothing to decode: the state passes through
  for (int64_t h = unit.head; h < unit.head + unit.heads; h++) {
    const Unit one{unit.sequence, h, 1};
    w.load(s, one);
    w.save(s, one);
  }
}

}  // namespace lathe
