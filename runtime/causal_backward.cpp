// Gradients of the causal scan. Two scans, neither of which keeps states: forward, S^T gives dQ; backward, R, the sum
// of q^T dO of this token and later ones, gives dK and dV. Each is the causal kernel with its arguments in other
// places, the second on rows that are walked from the last token to the first. A normaliser is a column of ones beside
// the values, and is added row by row. Where each key dimension has a gate, so do the columns of dQ and dK, which have
// a kernel of their own; dV is the forward kernel again.
#include <cmath>

#include "chunk.h"
#include "gradient.h"
#include "run.h"

namespace lathe {

namespace {

class CausalBackward : public GradientWalk {
 public:
  CausalBackward(Worker& worker, const Unit& unit) : GradientWalk(worker, unit), back_(forth_.reversed()) {
    std::fill_n(w_.at(b_.zeros), plan_.state_floats(), 0.f);
    std::fill_n(w_.gate(), 2 * d_.C, 0.f);  // where nothing decays it stays so
  }

  void run() {
    if (normalise() || wants_gates() || of_out_gates() || p_.wants_gradient(LATHE_Q) ||
        p_.wants_gradient(LATHE_PROJECTION)) {
      for (int64_t h = 0; h < unit_.heads; h++) load_forth(h);
      walk_chunks(0, forth_.queries, d_.C, unit_.heads,
                  [&](const Step& now, const Step& next) { step_forth(now, next); });
    }
    for (int64_t h = 0; h < unit_.heads; h++) load_back(h);
    walk_chunks(0, back_.queries, d_.C, unit_.heads, [&](const Step& now, const Step& next) { step_back(now, next); });
    for (int64_t h = 0; h < unit_.heads; h++) save_back(h);
  }

 private:
  struct Rows {
    const Tile &k, &q, &v;
  };

  bool wants_gates() const { return p_.wants_gate_gradients(); }
  bool keyed() const { return plan_.meaning.variant->keyed(); }
  bool steps() const { return plan_.meaning.variant->steps(); }
  bool of_out_gates() const { return p_.wants_gradient(LATHE_OUT_GATE); }
  // Whether the walk forth carries the state as it is, besides its transposed.
  bool keeps_state() const { return keyed() || of_out_gates(); }
  bool lags() const { return plan_.meaning.variant->reads_before(); }
  float* transposed(int64_t h, int64_t value) const { return w_.state(carried(h), group_.values() + value); }

  // What is kept of each token, by its place in the sequence: of a query its denominator's inverse and gradient, of a
  // value head q . dq, and before the first of those what the last state gives to every gate.
  float* kept(int64_t h, int64_t row) const {
    return w_.at(b_.tokens) + (h * (2 * queries_ + group_.values()) + row) * p_.sizes.Tq;
  }
  float* inverses(int64_t h, int64_t query) const { return kept(h, query); }
  float* denominators(int64_t h, int64_t query) const { return kept(h, queries_ + query); }
  float* products(int64_t h, int64_t value) const { return kept(h, 2 * queries_ + value); }
  // Sums of the walk back: what later tokens and the last state give to a gate, and all that the head's DECAY, DT_BIAS
  // and SKIP were given.
  struct Given {
    double gate, decay, bias, skip;
  };
  Given& given(int64_t h, int64_t value) const {
    return reinterpret_cast<Given*>(w_.at(b_.given))[h * group_.values() + value];
  }

  // The same where each key dimension has a gate: q dq, row by row, and sums for each key.
  float* product_rows(int64_t h, int64_t value) const {
    return w_.at(b_.products) + (h * group_.values() + value) * (p_.sizes.Tq + d_.C) * d_.K;
  }
  double* given_keys(int64_t h, int64_t value) const {
    return reinterpret_cast<double*>(w_.at(b_.given) + (h * group_.values() + value) * 3 * d_.K);
  }
  float* given_bonus(int64_t h, int64_t value) const { return reinterpret_cast<float*>(given_keys(h, value) + d_.K); }

  // Rows of a chunk from the tokens' list and back to it.
  void take(const float* list, const Sequence& s, const Step& now, float* rows) const {
    for (int64_t i = 0; i < d_.C; i++) rows[i] = i < now.rows ? list[s.token(now.t + i) - s.first] : 0;
  }
  void keep(const float* rows, const Step& now, float* list) const { std::copy_n(rows, now.rows, list + now.t); }

  void load_forth(int64_t h) const {
    const Gradient g(w_, forth_);
    for (int64_t value = 0; value < group_.values(); value++) {
      w_.load_states(LATHE_STATE_IN, LATHE_MOMENTUM_IN, forth_.state, value_head(h, value), transposed(h, value));
      g.transpose_state(transposed(h, value), w_.state(carried(h), value));
      std::fill_n(products(h, value), p_.sizes.Tq, 0.f);
      if (keyed() && wants_gates()) std::fill_n(product_rows(h, value), (p_.sizes.Tq + d_.C) * d_.K, 0.f);
    }
    w_.load_z(p_[LATHE_Z_IN], forth_.state, key_head(h), w_.z(carried(h)));
  }

  void step_forth(const Step& now, const Step& next) const {
    const Gradient g(w_, forth_);
    const int64_t h = now.head;
    const Tile keys = g.keys(now, key_head(h));
    Tile values{};
    Worker::Rows gates{};
    int64_t at_hand = -1;
    const auto hold = [&](int64_t value) {
      if (value != at_hand) {
        values = g.values(now, value_head(h, value));
        g.turn(values);
        gates = fill_gates(g, forth_, now, value_head(h, value));
        g.take_keys(keys);
      }
      at_hand = value;
    };
    const Tile sums = g.rows_of(w_.at(b_.sums), d_.K);
    const bool reads_queries = normalise() || wants_gates() || of_out_gates();
    if (normalise()) {
      hold(0);
      g.running_sums(keys, gates, w_.z(carried(h)), w_.at(b_.sums));
    }
    float *inv = w_.inv(), *dots = w_.at(b_.row);
    const Worker::Room more{w_.at(b_.dk), d_.K};
    for (int64_t query = 0; query < queries_; query++) {
      const Tile q = reads_queries ? g.queries(now, query_head(h, query)) : Tile{};
      const Worker::Room dq = g.room_for_mapped(LATHE_Q, now, query_head(h, query), w_.at(b_.dq));
      if (normalise()) g.denominators(q, sums, inv);
      bool first = true;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        if (group_.query_of(l) != query) continue;
        hold(group_.value_of(l));
        const Tile out = g.weighed(g.outputs(now, output_head(h, l)), normalise() ? inv : nullptr);
        const Worker::Room& to = first ? dq : more;
        g.attend(out, keys, w_.state(carried(h), at_hand), to);
        if (wants_gates() && !normalise()) keep_products(g, now, at_hand, q, to);
        if (of_out_gates()) finish_out_gates(g, now, l, {keys, q, values});
        if (!first) g.add(dq, g.rows_of(more, d_.K), g.ones());
        first = false;
      }
      if (normalise()) {
        g.dots(q, dq, dots);
        g.denominator_gradients(inv, dots);
        g.add(dq, sums, dots);
        keep(inv, now, inverses(h, query));
        keep(dots, now, denominators(h, query));
        if (wants_gates()) keep_products(g, now, 0, q, dq);
      }
      g.finish_mapped(LATHE_Q, now, query_head(h, query), key_head(h), dq);
    }
    for (int64_t value = 0; value < group_.values(); value++) {
      hold(value);
      // the state of gates for each key decays row by row; its transposed is what dQ reads
      float *state = w_.state(carried(h), value), *rows = keeps_state() ? transposed(h, value) : state;
      g.advance(keeps_state() ? keys : values, keeps_state() ? values : keys, rows,
                asking(forth_, next, value == 0, {LATHE_K, LATHE_V, gradient_of(LATHE_O)}));
      if (keeps_state()) g.transpose_state(rows, state);
    }
  }

  // Outputs are needed once more; the values stay the ones that are turned.
  void finish_out_gates(const Gradient& g, const Step& now, int64_t l, const Rows& rows) const {
    const int64_t h = now.head, value = group_.value_of(l);
    const Worker::Room o{w_.o(), d_.V};
    g.turn(rows.k);
    g.attend(rows.q, rows.v, transposed(h, value), o);
    g.turn(rows.v);
    if (normalise()) g.weigh(g.rows_of(o, d_.V), w_.inv(), o);
    g.finish_out_gates(now, output_head(h, l), value_head(h, value), o);
  }

  void keep_products(const Gradient& g, const Step& now, int64_t value, const Tile& q, const Worker::Room& dq) const {
    if (keyed())
      return g.add_products({product_rows(now.head, value) + now.t * d_.K, d_.K}, q, g.rows_of(dq, d_.K), g.ones());
    float *dots = w_.at(b_.row), *all = products(now.head, value) + now.t;
    g.dots(q, dq, dots);
    for (int64_t i = 0; i < now.rows; i++) all[i] += dots[i];
  }

  // What the gradients of the last state give to every gate: the products of the one with the other.
  void give_last_state(int64_t h, int64_t value) const {
    const float *last = w_.state(carried(h), value), *gradient = transposed(h, value);
    if (keyed()) std::fill_n(given_bonus(h, value), d_.K, 0.f);
    double all = 0;
    for (int64_t key = 0; key < d_.K; key++) {
      double sum = 0;
      for (int64_t x = 0; x < d_.V; x++) sum += static_cast<double>(last[x * d_.K + key]) * gradient[key * d_.V + x];
      if (keyed()) given_keys(h, value)[key] = sum;
      all += sum;
    }
    if (!keyed()) given(h, value).gate = all;
  }

  void load_back(int64_t h) const {
    const Gradient g(w_, back_);
    for (int64_t value = 0; value < group_.values(); value++) {
      w_.load_states(gradient_of(LATHE_STATE_OUT), gradient_of(LATHE_MOMENTUM_OUT), back_.state, value_head(h, value),
                     transposed(h, value));
      if (!keyed()) given(h, value) = {};
      if (wants_gates()) give_last_state(h, value);
      std::copy_n(transposed(h, value), plan_.state_floats(), w_.state(carried(h), value));
      g.transpose_state(w_.state(carried(h), value), transposed(h, value));
    }
    float *z = w_.z(carried(h)), *gradient = w_.at(b_.row);
    w_.load_z(p_[gradient_of(LATHE_Z_OUT)], back_.state, key_head(h), gradient);
    for (int64_t key = 0; wants_gates() && normalise() && key < d_.K; key++)
      (keyed() ? given_keys(h, 0)[key] : given(h, 0).gate) += static_cast<double>(z[key]) * gradient[key];
    std::copy_n(gradient, d_.K, z);
  }

  void step_back(const Step& now, const Step& next) const {
    const Gradient g(w_, back_);
    const int64_t h = now.head;
    const Tile keys = g.keys(now, key_head(h));
    float* weights = w_.inv();
    const Worker::Room dk = g.room_for_mapped(LATHE_K, now, key_head(h), w_.at(b_.dk));
    Tile q{};
    int64_t at_hand = -1;
    const auto hold = [&](int64_t query) {
      if (query != at_hand) q = g.queries(now, query_head(h, query));
      at_hand = query;
    };
    for (int64_t value = 0; value < group_.values(); value++) {
      const Worker::Rows gates = fill_gates(g, back_, now, value_head(h, value));
      const Tile values = g.values(now, value_head(h, value));
      float *state = w_.state(carried(h), value), *turned = transposed(h, value);
      const Worker::Room dv = g.room_for_values(now, value_head(h, value), w_.at(b_.dv)),
                         dk_of_value = value == 0 ? dk : Worker::Room{w_.at(b_.dq), d_.K}, more_v{w_.at(b_.row), d_.V},
                         more_k{w_.at(b_.row), d_.K};
      bool first = true;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        if (group_.value_of(l) != value) continue;
        hold(group_.query_of(l));
        if (normalise()) take(inverses(h, at_hand), back_, now, weights);
        Tile out = g.outputs(now, output_head(h, l));
        if (p_[LATHE_SKIP].present()) add_skipped(g, out, first);
        out = g.weighed(out, normalise() ? weights : nullptr);
        // the state counts once for all the outputs of a value
        g.take_keys(q);
        g.attend_by_keys(keys, q, out, first ? state : w_.at(b_.zeros), first ? dv : more_v);
        if (!first) g.add(dv, g.rows_of(more_v, d_.V), g.ones());
        g.turn(out);
        g.attend(values, q, first ? turned : w_.at(b_.zeros), first ? dk_of_value : more_k);
        if (!first) g.add(dk_of_value, g.rows_of(more_k, d_.K), g.ones());
        if (first)
          g.advance(q, out, state, asking(back_, next, value == 0, {LATHE_Q, LATHE_K, LATHE_V, gradient_of(LATHE_O)}));
        else
          g.advance_further(q, out, state);
        if (lags() && wants_gates()) add_own(g, now, at_hand, {keys, q, values}, out, first);
        first = false;
      }
      g.transpose_state(state, turned);
      if (steps()) take_steps(g, now, value, dv);
      g.finish_values(now, value_head(h, value), dv);
      if (normalise() && value == 0) of_normaliser(g, now, hold, q, gates, dk);
      if (wants_gates()) finish_gates(g, now, value, keys, dk_of_value);
      if (value > 0) g.add(dk, g.rows_of(dk_of_value, d_.K), g.ones());
    }
    g.finish_mapped(LATHE_K, now, key_head(h), key_head(h), dk);
  }

  // dk += r, the sum of the denominators' gradients times q, of each token and later ones.
  template <typename Hold>
  void of_normaliser(const Gradient& g, const Step& now, Hold hold, const Tile& q, const Worker::Rows& gates,
                     const Worker::Room& dk) const {
    float *weighed = w_.at(b_.weighed), *weights = w_.inv();
    for (int64_t query = 0; query < queries_; query++) {
      hold(query);
      take(denominators(now.head, query), back_, now, weights);
      if (query == 0)
        g.weigh(q, weights, {weighed, d_.K});
      else
        g.add({weighed, d_.K}, q, weights);
    }
    g.running_sums(g.rows_of(weighed, d_.K), gates, w_.z(carried(now.head)), w_.at(b_.sums));
    g.add(dk, g.rows_of(w_.at(b_.sums), d_.K), g.ones());
  }

  // What the kernels want of a chunk's gates, and the rows of those of each key.
  Worker::Rows fill_gates(const Gradient& g, const Sequence& s, const Step& now, int64_t head) const {
    g.take_momentum(now, head);
    if (keyed()) {
      const Worker::Rows gates = gate_rows(s, now, head);
      g.take_gates(gates, head);
      return gates;
    }
    if (s.step < 0)
      fill_gate_back(now, head);
    else if (plan_.meaning.gated())
      Chunk(w_, s).fill_gate(now, head, 0);
    return {};
  }

  // Row by row as they are walked. Back, each token has the gate of the one after it, as below; but where queries lag,
  // a token's own gate stands between it and what later ones gave.
  Worker::Rows gate_rows(const Sequence& s, const Step& now, int64_t head) const {
    const Tensor& gate = p_[LATHE_GATE];
    float* room = KeyGates(w_).room();
    const int64_t after = s.step < 0 && !lags() ? 1 : 0, none = after == 1 && now.t == 0 ? 1 : 0;
    const char* from = gate.at(s.batch, s.token(now.t) + after - none, head);
    const int64_t stride = s.step * gate.stride[1];
    if (now.rows == d_.C && none == 0) return key_gate_rows(w_, from, stride, d_.C, room);
    std::fill_n(room, d_.C * d_.K, 0.f);
    copy_key_gates(w_, from, stride, now.rows - none, room + none * d_.K);
    return {room, d_.K};
  }

  // A token's gate stands between it and the one before: walking back, each token has that of the one after it.
  void fill_gate_back(const Step& now, int64_t head) const {
    if (!plan_.meaning.gated()) return;
    float *rows = w_.at(b_.row), *of_tokens = rows + d_.C;
    const int64_t last = back_.token(now.t), after = now.t == 0 ? 0 : 1, n = now.rows - 1 + after,
                  begin = last + after - n + 1;
    Gradient(w_, back_).load_steps(begin, 1, n, head);
    log_decays(plan_.meaning, p_, back_.batch, begin, n, head, of_tokens, w_.dt());
    if (after == 0) rows[0] = 0;
    std::reverse_copy(of_tokens, of_tokens + n, rows + 1 - after);
    Chunk(w_, back_).fill_gate(rows, now.rows);
  }

  // What a token's key gives to its own query by the bonus.
  void add_own(const Gradient& g, const Step& now, int64_t query, const Rows& rows, const Tile& out, bool first) const {
    float *own = w_.at(b_.own), *dots = w_.at(b_.row), *of_denominators = w_.inv();
    if (first) std::fill_n(own, d_.C * d_.K, 0.f);
    g.dots(rows.v, {const_cast<float*>(out.data), out.stride}, dots);
    if (normalise()) take(denominators(now.head, query), back_, now, of_denominators);
    for (int64_t i = 0; i < now.rows && normalise(); i++) dots[i] += of_denominators[i];
    g.add_products({own, d_.K}, rows.q, rows.k, dots);
  }

  // What the outputs of a value give it past the recurrence.
  void add_skipped(const Gradient& g, const Tile& out, bool first) const {
    float* skipped = w_.at(b_.skipped);
    if (first) std::fill_n(skipped, d_.C * d_.V, 0.f);
    g.add({skipped, d_.V}, out, g.ones());
  }

  // dv of values by their steps becomes that of the values, and what each step is given by it is kept.
  void take_steps(const Gradient& g, const Step& now, int64_t value, const Worker::Room& dv) const {
    const int64_t head = value_head(now.head, value);
    const Tile raw = g.raw_values(now, head), skipped = g.rows_of(w_.at(b_.skipped), d_.V);
    float *by_steps = w_.at(b_.own), *dots = w_.at(b_.row);
    g.dots(raw, dv, by_steps);
    g.weigh(g.rows_of(dv, d_.V), w_.dt(), dv);
    if (p_[LATHE_SKIP].present()) {
      g.add_skip(dv, skipped, head);
      g.dots(raw, {w_.at(b_.skipped), d_.V}, dots);
      for (int64_t i = 0; i < now.rows; i++) given(now.head, value).skip += dots[i];
    }
  }

  // From the gradients of the log decays to those of the steps that they are made of, DECAY and DT_BIAS.
  void finish_steps(const Gradient& g, const Step& now, int64_t value, const float* of_decays) const {
    const int64_t head = value_head(now.head, value);
    float* by_steps = w_.at(b_.own);
    const Strided bias = bias_of_steps(p_, head, 0);
    const Tensor& steps = p_[LATHE_DT];
    Given& sums = given(now.head, value);
    for (int64_t i = 0; i < now.rows; i++) {
      const float dt = w_.dt()[i];
      sums.decay += dt * of_decays[i];
      float d = by_steps[i] + *p_[LATHE_DECAY].floats(head) * of_decays[i];
      if (plan_.meaning.softplus())
        d *= -std::expm1(-dt);  // the sigmoid of what softplus was taken of
      else if (plan_.meaning.clamps() &&
               widened(steps.storage, steps.at(back_.batch, back_.token(now.t + i), head)) + bias[i] < 0)
        d = 0;
      sums.bias += d;
      by_steps[i] = d;
    }
    g.finish_tokens(LATHE_DT, now, head, by_steps);
  }

  void finish_key_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys,
                        const Worker::Room& dk) const {
    const int64_t h = now.head, K = d_.K, head = value_head(h, value);
    // of the chunk's last token first
    const int64_t last = back_.token(now.t) - back_.first;
    const float* products = product_rows(h, value) + last * K;
    int64_t stride = -K;
    if (now.rows < d_.C) {
      float* rows = w_.at(b_.weighed);
      std::fill_n(rows, d_.C * K, 0.f);
      for (int64_t i = 0; i < now.rows; i++) std::copy_n(products - i * K, K, rows + i * K);
      products = rows;
      stride = K;
    }
    const Tile own = lags() ? g.rows_of(w_.at(b_.own), K) : Tile{w_.at(b_.zeros), 0, K};
    float* rows = w_.at(b_.row);
    g.key_gate_rows(products, stride, keys, dk, {own.data, own.stride}, given_keys(h, value), rows);
    if (lags()) g.sum_rows(own, given_bonus(h, value));
    const Tensor& gate = p_[LATHE_GATE];
    for (int64_t i = 0; i < now.rows && plan_.meaning.clamps(); i++) {
      const Strided given{gate.at(back_.batch, back_.token(now.t + i), head), 1, gate.storage};
      for (int64_t key = 0; key < p_.sizes.K; key++)
        if (given[key] > 0) rows[i * K + key] = 0;
    }
    g.finish_key_gates(now, head, rows);
  }

  // Of dg_t, the sum over this token and later ones of q . dq - k . dk, and what the last state gives to all.
  void finish_gates(const Gradient& g, const Step& now, int64_t value, const Tile& keys, const Worker::Room& dk) const {
    if (keyed()) return finish_key_gates(g, now, value, keys, dk);
    const int64_t h = now.head, head = value_head(h, value);
    float* dots = w_.at(b_.row);
    g.dots(keys, dk, dots);
    Given& sums = given(h, value);
    for (int64_t i = 0; i < now.rows; i++) {
      const int64_t token = back_.token(now.t + i);
      sums.gate += static_cast<double>(products(h, value)[token - back_.first]) - dots[i];
      dots[i] = clamped(token, head) ? 0 : static_cast<float>(sums.gate);
      if (!steps()) sums.decay += dots[i];
    }
    if (steps()) return finish_steps(g, now, value, dots);
    g.finish_tokens(LATHE_GATE, now, head, dots);
  }

  // A gate above 0 that counts as 0 moves nothing.
  bool clamped(int64_t token, int64_t head) const {
    if (!plan_.meaning.clamps()) return false;
    const Tensor& g = p_[LATHE_GATE];
    return (g.present() ? widened(g.storage, g.at(back_.batch, token, head)) : *p_[LATHE_DECAY].floats(head)) > 0;
  }

  void save_back(int64_t h) const {
    for (int64_t value = 0; value < group_.values(); value++) {
      const int64_t head = value_head(h, value);
      float *state = w_.state(carried(h), value), *z = w_.z(carried(h)), *left = w_.at(b_.row);
      first_left(head, left);
      for (int64_t key = 0; key < d_.K; key++)
        for (int64_t x = 0; x < d_.V; x++) state[key * d_.V + x] *= left[key];
      w_.save_states(state, gradient_of(LATHE_STATE_IN), gradient_of(LATHE_MOMENTUM_IN), forth_.state, head,
                     {0, p_.sizes.V});
      for (int64_t key = 0; value == 0 && key < d_.K; key++) z[key] *= left[key];
      if (p_.wants_gradient(LATHE_BONUS))
        std::copy_n(
            given_bonus(h, value), d_.K,
            w_.shared() + shared_layout(plan_, p_).bonuses + (unit_.sequence * p_.sizes.state_heads() + head) * d_.K);
      if (keyed()) continue;
      const Given& sums = given(h, value);
      float* numbers = w_.shared() + shared_layout(plan_, p_).heads +
                       (unit_.sequence * p_.sizes.state_heads() + head) * kNumbersOfHeads;
      for (double sum : {sums.decay, sums.bias, sums.skip}) *numbers++ = static_cast<float>(sum);
    }
    w_.save_z(w_.z(carried(h)), p_[gradient_of(LATHE_Z_IN)], forth_.state, key_head(h));
  }

  // What the first token leaves of the state that came in, for each key: its gate stands between the two. Where queries
  // lag it was walked over.
  void first_left(int64_t head, float* left) const {
    std::fill_n(left, d_.K, 0.f);
    if (forth_.queries > 0 && keyed() && !lags())
      copy_key_gates(w_, p_[LATHE_GATE].at(forth_.batch, forth_.first, head), 0, 1, left);
    if (forth_.queries > 0 && !keyed() && plan_.meaning.gated()) {
      Gradient(w_, forth_).load_steps(forth_.first, 1, 1, head);
      log_decays(plan_.meaning, p_, forth_.batch, forth_.first, 1, head, left, w_.dt());
      std::fill_n(left, d_.K, left[0]);
    }
    for (int64_t key = 0; key < d_.K; key++) left[key] = std::exp(left[key]);
  }

  const Sequence back_;
};

}  // namespace

void run_causal_backward(Worker& worker, const Unit& unit) { CausalBackward(worker, unit).run(); }

}  // namespace lathe
