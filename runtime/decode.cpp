// The recurrence itself, token by token, on the caller's own state where its width allows.
#include <cmath>
#include <cstring>
#include <limits>

#include "adaptive.h"
#include "delta.h"
#include "key_gates.h"
#include "run.h"

namespace lathe {

namespace {

// Keys of one call. Its part of a state stays in the first-level cache for the sums that follow the update, and no load
// from memory is under way while they are taken: 32 keys lost 4 to 6 % from memory and won as much in cache, 8 lost 12
// % in cache. Asking beforehand for the next head's state, for its rows or for those of the next token lost up to 20 %.
constexpr int64_t kKeys = 16;

// One token of several key heads. What their states need is made ready for all of them first; then one state follows
// another with nothing between, since from memory any pause is time in which no load is under way.
struct Token {
  Worker& w;
  const Plan& plan;
  const Problem& p;
  const Sequence& s;
  const Group group;
  int64_t t, first, heads;
  float kept;    // what a rising stabiliser leaves of the state
  bool entered;  // by some key: else what stands in the state weighs nothing, whatever it is

  struct Operands {
    const float *q, *k, *v, *before;
  };

  bool in_place() const { return p[LATHE_STATE_OUT].present() && p.sizes.V % 16 == 0; }
  int64_t width() const { return in_place() ? p.sizes.V : plan.padded.V; }
  int64_t queries() const { return p.sizes.HQ / p.sizes.HK; }
  // Of `total` heads, how many lie between those of neighbouring key heads.
  int64_t apart(int64_t total) const { return group.tiled ? 1 : total / p.sizes.HK; }

  Worker::Rows keys() const {
    return w.token_in_place(LATHE_K, p.sizes.HK) ? w.heads_of(LATHE_K, s, t, first, 1)
                                                 : Worker::Rows{w.k(), plan.padded.K};
  }
  // The query'th queries of the key heads.
  Worker::Rows query_rows(int64_t query) const {
    const int64_t K = plan.padded.K;
    if (w.token_in_place(LATHE_Q, p.sizes.HQ))
      return w.heads_of(LATHE_Q, s, t, group.head(p.sizes.HQ, first, query), apart(p.sizes.HQ));
    return group.tiled ? Worker::Rows{w.q() + query * heads * K, K} : Worker::Rows{w.q() + query * K, queries() * K};
  }

  void map_queries() const {
    if (w.token_in_place(LATHE_Q, p.sizes.HQ)) return;
    if (!group.tiled) return w.map_token(LATHE_Q, s, t, first * queries(), heads * queries(), 0, w.q());
    for (int64_t l = 0; l < queries(); l++)
      w.map_token(LATHE_Q, s, t, l * p.sizes.HK + first, heads, 0, w.q() + l * heads * plan.padded.K);
  }

  void step() const {
    map_queries();
    if (corrects() || rank_one()) meet(keys(), met());
    for (int64_t value = 0; value < group.values(); value++) {
      fill_left(value);
      // a normaliser goes with one decay for all the values of its key head
      if (value == 0 && plan.meaning.normalise()) normalise();
      states(value);
    }
  }

  bool keyed() const { return plan.meaning.variant->keyed(); }
  bool corrects() const { return plan.meaning.variant->corrects(); }
  bool moves() const { return plan.meaning.variant->moves(); }
  bool rank_one() const { return plan.meaning.variant->rank_one(); }
  bool reads_before() const { return plan.meaning.variant->reads_before(); }

  // Where keys have gates of their own: what each leaves of its row of the state, a row for each head, and the
  // normaliser's rows as queries see them.
  float* left_of_keys(int64_t h) const { return w.key_gates() + h * plan.padded.K; }
  float* seen(int64_t h) const { return left_of_keys(heads + h); }

  // Where a row adds what another one reads: both, and what each query has of the one that adds.
  float* row_of(uint32_t role, int64_t h) const { return left_of_keys((role == LATHE_A ? 1 : 2) * heads + h); }
  float* met_by_b() const { return met() + queries() * heads; }
  void load_rows(uint32_t role, int64_t state, int64_t between) const {
    const Tensor& rows = p[role];
    const int64_t K = p.sizes.K, padded = plan.padded.K;
    for (int64_t h = 0; h < heads; h++) std::fill_n(row_of(role, h) + K, padded - K, 0.f);
    w.widen(rows.storage, rows.at(s.batch, s.first + t, state), rows.stride[2] * between, heads, K, row_of(role, 0),
            padded);
  }

  // Where tokens are corrected: how far, and what each query has of the token's own key.
  float* betas() const { return w.delta(); }
  float* met() const { return w.inv(); }  // as in normalise(), which such a variant has not
  void meet(const Worker::Rows& k_rows, float* to) const {
    const int64_t K = plan.padded.K;
    for (int64_t query = 0; query < queries(); query++) {
      const Worker::Rows q_rows = query_rows(query);
      Buffer q(q_rows.data, K, heads, q_rows.stride), k(k_rows.data, K, heads, k_rows.stride);
      Buffer dots(to + query * heads, heads);
      call(*plan.kernels.row_dots, q, k, dots);
    }
  }

  // What the token leaves of the states of the value'th values.
  void fill_left(int64_t value) const {
    const int64_t state = state_head(0, value), between = apart(p.sizes.state_heads());
    if (const Tensor& beta = p[LATHE_BETA]; beta.present())
      load_betas(w, beta.at(s.batch, s.first + t, state), beta.stride[2] * between, heads, betas());
    if (const Tensor& dt = p[LATHE_DT]; dt.present())
      w.load_steps(dt.at(s.batch, s.first + t, state), dt.stride[2] * between, bias_of_steps(p, state, between), heads);
    if (plan.meaning.variant->foresees()) w.load_weights(s.queries - t - 1, state, between, heads);
    if (!keyed()) {
      for (int64_t h = 0; h < heads; h++) w.gate()[h] = kept * left(state_head(h, value), w.dt() + h);
      return;
    }
    const Tensor& gate = p[LATHE_GATE];
    const Worker::Rows rows =
        key_gate_rows(w, gate.at(s.batch, s.first + t, state), gate.stride[2] * between, heads, left_of_keys(0));
    Buffer g(rows.data, plan.padded.K, heads, rows.stride), a(left_of_keys(0), plan.padded.K, heads, plan.padded.K);
    call(*plan.kernels.exponentials, g, a);
    for (int64_t i = 0; kept != 1 && i < heads * plan.padded.K; i++) left_of_keys(0)[i] *= kept;
    if (!rank_one()) return;
    for (uint32_t role : {LATHE_A, LATHE_B}) load_rows(role, state, between);
    meet({row_of(LATHE_B, 0), plan.padded.K}, met_by_b());
  }

  // The state after the token, to whoever asked for it.
  void hand_on(int64_t head, float* state) const {
    if (const Tensor& snapshots = p[LATHE_SNAPSHOTS]; snapshots.present())
      snapshot(state, snapshots.floats(s.batch, s.first + t, head));
    if (t + 1 == s.queries && !in_place())
      w.save_states(state, LATHE_STATE_OUT, LATHE_MOMENTUM_OUT, s.state, head, {0, p.sizes.V});
  }

  // What the token leaves of a state.
  float left(int64_t head, const float* dt) const {
    if (!plan.meaning.variant->decays()) return 1;
    float g;
    log_decays(plan.meaning, p, s.batch, s.first + t, 1, head, &g, dt);
    return std::exp(g);
  }

  int64_t state_head(int64_t h, int64_t value) const { return group.head(p.sizes.state_heads(), first + h, value); }

  const Tensor& entering(uint32_t role) const {
    static const Tensor nothing{};
    return entered ? p[role] : nothing;
  }

  // The keys' sums move on, and with them every query has its denominator: in the caller's rows where kernels can work
  // on those.
  void normalise() const {
    const Tensor &in = entering(LATHE_Z_IN), &out = p[LATHE_Z_OUT];
    const bool own = out.present() && p.sizes.K % 16 == 0 && near(out.stride[1], heads) &&
                     (!in.present() || near(in.stride[1], heads));
    const int64_t K = own ? p.sizes.K : plan.padded.K;
    Worker::Rows before{w.kt(), plan.padded.K};
    float* next = w.kt();
    int64_t stride = plan.padded.K;
    if (own) {
      next = out.floats(s.state, first);
      stride = out.stride[1];
      before = {next, stride};
      if (t == 0 && in.present()) before = {in.floats(s.state, first), in.stride[1]};
      for (int64_t h = 0; t == 0 && !in.present() && h < heads; h++) std::fill_n(next + h * stride, K, 0.f);
    } else {
      for (int64_t h = 0; t == 0 && h < heads; h++) w.load_z(in, s.state, first + h, next + h * stride);
    }
    const Worker::Rows k_rows = keys();
    Buffer k(k_rows.data, K, heads, k_rows.stride), z(before.data, K, heads, before.stride), a(w.gate(), heads);
    Buffer z_out(next, K, heads, stride);
    if (keyed())
      step_key_sums(k_rows, before, K, next, stride);
    else
      call(*plan.kernels.key_step, k, z, a, z_out);
    const Worker::Rows z_seen = reads_before() ? Worker::Rows{seen(0), plan.padded.K} : Worker::Rows{next, stride};
    for (int64_t query = 0; query < queries(); query++) {
      w.denominators(query_rows(query), z_seen, K, heads, w.inv() + query * heads);
    }
    for (int64_t h = 0; !own && t + 1 == s.queries && h < heads; h++)
      w.save_z(next + h * stride, out, s.state, first + h);
  }

  void step_key_sums(const Worker::Rows& k, const Worker::Rows& before, int64_t K, float* next, int64_t stride) const {
    for (int64_t h = 0; h < heads; h++) {
      const float *k_row = k.data + h * k.stride, *z = before.data + h * before.stride, *a = left_of_keys(h);
      float* to = next + h * stride;
      if (reads_before()) {
        load_bonus(w, state_head(h, 0), seen(h));
        for (int64_t key = 0; key < K; key++) seen(h)[key] = z[key] + seen(h)[key] * k_row[key];
      }
      for (int64_t key = 0; key < K; key++) to[key] = a[key] * z[key] + k_row[key];
    }
  }

  // The state to read and the one to write: rows of width V in place, else padded copies in scratch.
  float* write_state(int64_t head, int64_t value) const {
    return in_place() ? p[LATHE_STATE_OUT].floats(s.state, head) : w.state(0, value);
  }

  const float* read_state(uint32_t role, int64_t head, float* write) const {
    const Tensor& in = entering(role);
    if (t > 0) return write;
    if (in_place()) {
      if (in.present()) return in.floats(s.state, head);
      std::memset(write, 0, static_cast<size_t>(p.sizes.K * p.sizes.V) * 4);
      return write;
    }
    w.load_state(in, s.state, head, write);
    return write;
  }

  // The states of the value'th values of the key heads, and the outputs that are read from them.
  void states(int64_t value) const {
    const Tensor& o = p[LATHE_O];
    const bool direct = o.storage == Storage::kF32 && width() == p.sizes.V;
    const int64_t outputs = group.outputs() / group.values();
    const Worker::Rows k = keys();
    Worker::Rows v = w.value_heads(s, t, group.head(p.sizes.HV, first, value), apart(p.sizes.HV), heads, width());
    if (plan.meaning.variant->weighs()) v = w.weigh(v, width(), heads);
    const auto output_head = [&](int64_t l) { return group.head(p.sizes.out_heads(), first, l); };
    const auto each_output = [&](auto visit) {
      int64_t n = 0;
      for (int64_t l = 0; l < group.outputs(); l++)
        if (group.value_of(l) == value) visit(l, n++);
    };
    for (int64_t h = 0; h < heads; h++) {
      const int64_t head = state_head(h, value);
      float* state = write_state(head, value);
      const float* before = read_state(LATHE_STATE_IN, head, state);
      each_output([&](int64_t l, int64_t n) {
        const int64_t query = group.query_of(l);
        const Worker::Rows rows = query_rows(query);
        const float* q = rows.data + h * rows.stride;
        const float inv = plan.meaning.normalise() ? w.inv()[query * heads + h] : 1.f;
        float* to = direct ? o.floats(s.batch, s.first + t, output_head(l) + h * apart(p.sizes.out_heads()))
                           : w.o() + (h * outputs + n) * width();
        const Operands from{q, k.data + h * k.stride, v.data + h * v.stride, before};
        if (reads_before())
          recall_before(from, head, n + 1 == outputs ? state : nullptr, left_of_keys(h), inv, to);
        else if (n == 0 && corrects())
          correct(from, state, h, query, to);
        else if (n == 0 && rank_one())
          add_what_is_read(from, state, h, query, to);
        else if (n == 0 && moves())
          move_on(from, state, head, value, inv, to);
        else if (n == 0)
          advance(from, state, h, inv, to);
        else
          recall(q, state, inv, to);
        if (plan.meaning.variant->steps())
          w.finish(s, t, 1, output_head(l) + h * apart(p.sizes.out_heads()), head, to, width(), {0, width()});
      });
      hand_on(head, state);
    }
    if (direct) return;
    each_output([&](int64_t l, int64_t n) {
      w.store(w.o() + n * width(), outputs * width(), o.at(s.batch, s.first + t, output_head(l)),
              o.stride[2] * apart(p.sizes.out_heads()), heads);
    });
  }

  // What the token's own key brings to a query that reads the state before it.
  float own(const Operands& from, int64_t head) const {
    const float* bonus = p[LATHE_BONUS].floats(head);
    constexpr int64_t lanes = 8;
    float sums[lanes] = {}, sum = 0;
    int64_t key = 0;
    for (; key + lanes <= p.sizes.K; key += lanes)
      for (int64_t i = key; i < key + lanes; i++) sums[i - key] += from.q[i] * bonus[i] * from.k[i];
    for (; key < p.sizes.K; key++) sum += from.q[key] * bonus[key] * from.k[key];
    for (float lane : sums) sum += lane;
    return sum;
  }

  // The last query of a state also moves it on; for others `state` is null.
  void recall_before(const Operands& from, int64_t head, float* state, const float* a, float inv, float* to) const {
    const int64_t columns = width(), K = p.sizes.K;
    const float weight = own(from, head);
    float one = 1;
    for (int64_t x = 0; x < columns; x++) to[x] = weight * from.v[x];
    Buffer q(from.q, kKeys), k(from.k, kKeys), v(from.v, columns), h(from.before, columns, kKeys, columns);
    Buffer left(a, kKeys), next(state, columns, kKeys, columns), sums(to, columns), o(to, columns);
    for (int64_t key = 0; key < K; key += kKeys) {
      const int64_t keys = std::min(kKeys, K - key);
      q.move_to(from.q + key, keys);
      h.move_to(from.before + key * columns, columns, keys);
      call(*plan.kernels.recall_more, q, h, sums, key + keys == K ? inv : one, o);
      if (!state) continue;
      k.move_to(from.k + key, keys);
      left.move_to(a + key, keys);
      next.move_to(state + key * columns, columns, keys);
      call(*plan.kernels.update_keys, left, k, v, h, next);
    }
  }

  void advance(const Operands& from, float* state, int64_t h, float inv, float* to) const {
    const int64_t columns = width(), K = p.sizes.K;
    float one = 1, a = keyed() ? 0 : w.gate()[h];
    std::fill_n(to, columns, 0.f);
    Buffer q(from.q, kKeys), k(from.k, kKeys), v(from.v, columns), before(from.before, columns, kKeys, columns);
    Buffer next(state, columns, kKeys, columns), sums(to, columns), o(to, columns), left(nullptr, kKeys);
    for (int64_t key = 0; key < K; key += kKeys) {
      const int64_t keys = std::min(kKeys, K - key);
      q.move_to(from.q + key, keys);
      k.move_to(from.k + key, keys);
      before.move_to(from.before + key * columns, columns, keys);
      next.move_to(state + key * columns, columns, keys);
      float& last = key + keys == K ? inv : one;
      if (keyed()) {
        left.move_to(left_of_keys(h) + key, keys);
        call(*plan.kernels.decode_keys, q, k, v, before, sums, left, last, next, o);
      } else {
        call(*plan.kernels.decode, q, k, v, before, sums, a, last, next, o);
      }
    }
  }

  // A state with a momentum. What is carried of the last token lies behind the worker's own state, even where that of
  // the caller is moved in place.
  void move_on(const Operands& from, float* state, int64_t head, int64_t value, float inv, float* to) const {
    float* momentum = in_place() ? p[LATHE_MOMENTUM_OUT].floats(s.state, head) : plan.momentum_of(state);
    const MovedState of{from.before, read_state(LATHE_MOMENTUM_IN, head, momentum), state, momentum, width()};
    const TokenRows token{from.q, from.k, from.v};
    if (!plan.meaning.variant->adapts())
      return move(plan, p.sizes.K, token, of, moved_by_decay(plan, p, head), inv, to);
    float* carried = w.state(0, value);
    if (t == 0) w.load_last(s.state, head, carried);
    move(plan, p.sizes.K, token, of, moved_by_token(w, head, token, last_token(plan, carried), of), inv, to);
    keep_last(w, token, carried);
    if (t + 1 == s.queries) w.save_last(carried, s.state, head);
  }

  // The whole state at once: what a token adds is known when all of it is read.
  void correct(const Operands& from, float* state, int64_t head, int64_t query, float* to) const {
    const int64_t columns = width(), K = p.sizes.K;
    float a = keyed() ? 0 : w.gate()[head], beta = betas()[head], qk = met()[query * heads + head];
    Buffer q(from.q, K), k(from.k, K), v(from.v, columns), h(from.before, columns, K, columns);
    Buffer added(w.kt(), columns), o(to, columns), next(state, columns, K, columns);
    Buffer left(keyed() ? left_of_keys(head) : nullptr, K);
    if (keyed())
      call(*plan.kernels.decode_delta, q, k, v, h, left, beta, qk, added, o, next);
    else
      call(*plan.kernels.decode_delta, q, k, v, h, a, beta, qk, added, o, next);
  }

  // The same of what A reads and B adds.
  void add_what_is_read(const Operands& from, float* state, int64_t head, int64_t query, float* to) const {
    const int64_t columns = width(), K = p.sizes.K;
    float qk = met()[query * heads + head], qb = met_by_b()[query * heads + head];
    Buffer q(from.q, K), k(from.k, K), v(from.v, columns), h(from.before, columns, K, columns);
    Buffer left(left_of_keys(head), K), a(row_of(LATHE_A, head), K), b(row_of(LATHE_B, head), K);
    Buffer read(w.kt(), columns), o(to, columns), next(state, columns, K, columns);
    call(*plan.kernels.decode_rank_one, q, k, v, h, left, a, b, qk, qb, read, o, next);
  }

  void recall(const float* query, const float* state, float inv, float* to) const {
    Buffer q(query, p.sizes.K), h(state, width(), p.sizes.K, width()), o(to, width());
    call(*plan.kernels.recall, q, h, inv, o);
  }

  void snapshot(const float* state, float* out) const {
    for (int64_t key = 0; key < p.sizes.K; key++)
      std::memcpy(out + key * p.sizes.V, state + key * width(), static_cast<size_t>(p.sizes.V) * 4);
  }
};

}  // namespace

void decode_sequence(Worker& w, const Sequence& s, int64_t first_head, int64_t heads) {
  const Plan& plan = w.plan();
  const Problem& p = w.problem();
  const Group group{p.sizes, plan.meaning.tiled()};
  const int64_t queries = p.sizes.HQ / p.sizes.HK;
  // several heads at once, where a single token leaves nothing to carry from head to head
  const int64_t together =
      s.queries == 1 && !plan.meaning.stabilise() ? std::max<int64_t>(1, plan.padded.C / queries) : 1;
  for (int64_t head = first_head; head < first_head + heads; head += together) {
    const int64_t n = std::min(together, first_head + heads - head);
    float* stabiliser = p[LATHE_STABILISER].present() ? p[LATHE_STABILISER].floats(s.state, head) : nullptr;
    float peak = stabiliser ? *stabiliser : -std::numeric_limits<float>::infinity();
    const bool entered = !stabiliser || !std::isinf(peak);
    for (int64_t t = 0; t < s.queries; t++) {
      float kept = 1;
      if (!w.token_in_place(LATHE_K, p.sizes.HK))
        w.map_token(LATHE_K, s, t, head, n, std::max(peak, std::numeric_limits<float>::lowest()), w.k());
      if (plan.meaning.stabilise()) {
        kept = std::exp(peak - w.peaks()[0]);
        peak = w.peaks()[0];
      }
      Token{w, plan, p, s, group, t, head, n, kept, entered}.step();
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
