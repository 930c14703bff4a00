// Gradients of non-causal attention: keys are summed once more, queries give dQ and the sums that keys then turn into
// dK and dV. docs/operators.md.
#include <algorithm>

#include "chunk.h"
#include "gradient.h"
#include "run.h"

namespace lathe {

namespace {

class NoncausalBackward : public GradientWalk {
 public:
  NoncausalBackward(Worker& worker, const Unit& unit) : GradientWalk(worker, unit), g_(w_, forth_) {}

  void run() {
    const auto walk = [&](int64_t end, auto step) { walk_chunks(0, end, d_.C, unit_.heads, step); };
    for (int64_t h = 0; h < unit_.heads; h++) begin(h);
    walk(forth_.keys, [&](const Step& now, const Step& next) { sum_keys(now, next); });
    std::fill_n(w_.gate(), 2 * d_.C, 0.f);  // what queries give stays as it is
    walk(forth_.queries, [&](const Step& now, const Step& next) { walk_queries(now, next); });
    for (int64_t h = 0; h < unit_.heads; h++)
      for (int64_t value = 0; value < group_.values(); value++)
        g_.transpose_state(gradient(h, value), w_.state(carried(h), value));
    walk(forth_.keys, [&](const Step& now, const Step&) { walk_keys(now); });
    for (int64_t h = 0; h < unit_.heads; h++) save(h);
  }

 private:
  // The state, transposed; later the gradient of it, transposed.
  float* turned(int64_t h, int64_t value) const { return w_.state(carried(h), value); }
  float* gradient(int64_t h, int64_t value) const { return w_.state(carried(h), group_.values() + value); }
  float* z_gradient(int64_t h) const { return w_.at(b_.given) + h * d_.K; }

  void begin(int64_t h) const {
    for (int64_t value = 0; value < group_.values(); value++) {
      load_state(h, value, gradient(h, value));
      g_.transpose_state(gradient(h, value), turned(h, value));
      w_.load_state(p_[gradient_of(LATHE_STATE_OUT)], forth_.state, value_head(h, value), gradient(h, value));
    }
    load_z(h);
    w_.load_z(p_[gradient_of(LATHE_Z_OUT)], forth_.state, key_head(h), z_gradient(h));
  }

  void sum_keys(const Step& now, const Step& next) const {
    const Tile keys = keys_forth(g_, now);
    fill_gate(now);
    for (int64_t value = 0; value < group_.values(); value++)
      g_.advance(g_.values(now, value_head(now.head, value)), keys, turned(now.head, value),
                 asking(forth_, next, value == 0, {LATHE_K, LATHE_V}));
    if (normalise()) g_.key_sum(keys, w_.z(carried(now.head)));
  }

  void fill_gate(const Step& now) const {
    if (!stabilise()) return;
    float* log_decays = w_.at(b_.row);
    for (int64_t i = 0; i < now.rows; i++) log_decays[i] = fallen(now.head, now.t + i);
    Chunk(w_, forth_).fill_gate(log_decays, now.rows);
  }

  void walk_queries(const Step& now, const Step& next) const {
    const int64_t h = now.head;
    float *inv = w_.inv(), *dots = w_.at(b_.row);
    const Worker::Room more{w_.at(b_.dk), d_.K};
    const Tile z{w_.z(carried(h)), 0, d_.K};
    for (int64_t query = 0; query < queries_; query++) {
      const int64_t head = query_head(h, query);
      const Tile q = g_.queries(now, head);
      const Worker::Room dq = g_.room_for_mapped(LATHE_Q, now, head, w_.at(b_.dq));
      if (normalise()) {
        g_.denominators(q, z, inv);
        std::fill(inv + now.rows, inv + d_.C, 0.f);  // where eps is 0, and rows are no token's, they are infinite
      }
      bool first = true;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        if (group_.query_of(l) != query) continue;
        const int64_t value = group_.value_of(l), out_head = output_head(h, l);
        const Tile out = g_.weighed(g_.outputs(now, out_head), normalise() ? inv : nullptr);
        g_.read_out(out, turned(h, value), first ? dq : more, d_.K);
        if (!first) g_.add(dq, g_.rows_of(more, d_.K), g_.ones());
        g_.advance(q, out, gradient(h, value),
                   asking(forth_, next, first && query == 0, {LATHE_Q, gradient_of(LATHE_O), gradient_of(LATHE_Q)}));
        first = false;
      }
      if (normalise()) {
        g_.dots(q, dq, dots);
        g_.denominator_gradients(inv, dots);
        g_.add(dq, z, dots);
        g_.weigh(q, dots, {w_.at(b_.weighed), d_.K});
        g_.key_sum(g_.rows_of(w_.at(b_.weighed), d_.K), z_gradient(h));
      }
      g_.finish_mapped(LATHE_Q, now, head, key_head(h), dq, q);
    }
  }

  void walk_keys(const Step& now) const {
    const int64_t h = now.head;
    const Worker::Room dk = g_.room_for_mapped(LATHE_K, now, key_head(h), w_.at(b_.dk)), more{w_.at(b_.row), d_.K};
    const Tile keys = keys_forth(g_, now);
    const float* left = stabilise() ? left_of_keys(now) : nullptr;
    if (left) g_.weigh(keys, left, {w_.k(), d_.K});
    for (int64_t value = 0; value < group_.values(); value++) {
      const Tile values = g_.values(now, value_head(h, value));
      const Worker::Room dv = g_.room_for_values(now, value_head(h, value), w_.at(b_.dv));
      g_.read_out(keys, gradient(h, value), dv, d_.V);
      g_.finish_values(now, value_head(h, value), dv);
      g_.read_out(values, turned(h, value), value == 0 ? dk : more, d_.K);
      if (value > 0) g_.add(dk, g_.rows_of(more, d_.K), g_.ones());
    }
    if (normalise()) g_.add(dk, {z_gradient(h), 0, d_.K}, g_.ones());
    if (left) g_.weigh(Gradient::rows_of(dk, d_.K), left, dk);
    g_.finish_mapped(LATHE_K, now, key_head(h), key_head(h), dk, keys);
  }

  // What is left of each key once the maximum has risen to that of all of them.
  const float* left_of_keys(const Step& now) const {
    const float last = peak_before(now.head, forth_.keys), *peak = peaks(now.head) + now.t;
    for (int64_t i = 0; i < d_.C; i++) w_.inv()[i] = i < now.rows ? std::exp(peak[i] - last) : 0;
    return w_.inv();
  }

  void save(int64_t h) const {
    const float left = left_of_state(h, forth_.keys);
    for (int64_t value = 0; value < group_.values(); value++) {
      float* state = gradient(h, value);
      for (int64_t i = 0; i < plan_.state_floats() && stabilise(); i++) state[i] *= left;
      w_.save_state(state, p_[gradient_of(LATHE_STATE_IN)], forth_.state, value_head(h, value));
    }
    for (int64_t key = 0; key < d_.K && stabilise(); key++) z_gradient(h)[key] *= left;
    w_.save_z(z_gradient(h), p_[gradient_of(LATHE_Z_IN)], forth_.state, key_head(h));
  }

  const Gradient g_;
};

}  // namespace

void run_noncausal_backward(Worker& worker, const Unit& unit) { NoncausalBackward(worker, unit).run(); }

}  // namespace lathe
