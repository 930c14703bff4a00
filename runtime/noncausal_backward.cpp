// Gradients of non-causal attention: keys are summed once more, queries give dQ and the sums that keys then turn into
// dK and dV. docs/operators.md.
#include "gradient.h"
#include "run.h"

namespace lathe {

namespace {

class NoncausalBackward {
 public:
  NoncausalBackward(Worker& worker, const Unit& unit)
      : w_(worker),
        plan_(worker.plan()),
        p_(worker.problem()),
        d_(plan_.padded),
        b_(worker.layout().backward),
        unit_(unit),
        group_{p_.sizes, plan_.meaning.tiled()},
        s_(sequence(p_, unit.sequence)),
        g_(w_, s_) {}

  void run() {
    std::fill_n(w_.at(b_.ones), d_.C, 1.f);
    zero_padding(w_, s_, unit_);
    const auto walk = [&](int64_t end, auto step) { walk_chunks(0, end, d_.C, unit_.heads, step); };
    for (int64_t h = 0; h < unit_.heads; h++) load(h);
    walk(s_.keys, [&](const Step& now, const Step& next) { sum_keys(now, next); });
    walk(s_.queries, [&](const Step& now, const Step& next) { walk_queries(now, next); });
    for (int64_t h = 0; h < unit_.heads; h++)
      for (int64_t value = 0; value < group_.values(); value++)
        g_.transpose_state(gradient(h, value), w_.state(carried(h), value));
    walk(s_.keys, [&](const Step& now, const Step&) { walk_keys(now); });
    for (int64_t h = 0; h < unit_.heads; h++) save(h);
  }

 private:
  bool normalise() const { return plan_.meaning.normalise(); }
  size_t carried(int64_t h) const { return static_cast<size_t>(h); }
  // The state, transposed; later the gradient of it, transposed.
  float* turned(int64_t h, int64_t value) const { return w_.state(carried(h), value); }
  float* gradient(int64_t h, int64_t value) const { return w_.state(carried(h), group_.values() + value); }
  float* z_gradient(int64_t h) const { return w_.at(b_.given) + h * d_.K; }
  int64_t value_head(int64_t h, int64_t value) const { return group_.head(p_.sizes.HV, unit_.head + h, value); }

  // Asks memory for rows of a coming step.
  auto asking(const Step& next, bool once, std::initializer_list<uint32_t> roles) const {
    return [this, next, once, roles](int64_t part, int64_t parts) {
      for (uint32_t role : roles)
        if (once) w_.prefetch(role, s_, next, unit_.head + next.head, part, parts);
    };
  }

  void load(int64_t h) const {
    for (int64_t value = 0; value < group_.values(); value++) {
      w_.load_state(p_[LATHE_STATE_IN], s_.state, value_head(h, value), gradient(h, value));
      g_.transpose_state(gradient(h, value), turned(h, value));
      w_.load_state(p_[gradient_of(LATHE_STATE_OUT)], s_.state, value_head(h, value), gradient(h, value));
    }
    w_.load_z(p_[LATHE_Z_IN], s_.state, unit_.head + h, w_.z(carried(h)));
    w_.load_z(p_[gradient_of(LATHE_Z_OUT)], s_.state, unit_.head + h, z_gradient(h));
  }

  void sum_keys(const Step& now, const Step& next) const {
    const Tile keys = g_.keys(now, unit_.head + now.head);
    for (int64_t value = 0; value < group_.values(); value++)
      g_.advance(g_.values(now, value_head(now.head, value)), keys, turned(now.head, value),
                 asking(next, value == 0, {LATHE_K, LATHE_V}));
    if (normalise()) g_.key_sum(keys, w_.z(carried(now.head)));
  }

  void walk_queries(const Step& now, const Step& next) const {
    const int64_t h = now.head;
    float *inv = w_.inv(), *dots = w_.at(b_.row);
    const Worker::Room more{w_.at(b_.dk), d_.K};
    const Tile z{w_.z(carried(h)), 0, d_.K};
    for (int64_t query = 0; query < p_.sizes.HQ / p_.sizes.HK; query++) {
      const int64_t head = group_.head(p_.sizes.HQ, unit_.head + h, query);
      const Tile q = g_.queries(now, head);
      const Worker::Room dq = g_.room_for_mapped(LATHE_Q, now, head, w_.at(b_.dq));
      if (normalise()) g_.denominators(q, z, inv);
      bool first = true;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        if (group_.query_of(l) != query) continue;
        const int64_t value = group_.value_of(l), out_head = group_.head(p_.sizes.out_heads(), unit_.head + h, l);
        const Tile out = g_.outputs(now, out_head, normalise() ? inv : nullptr);
        g_.read_out(out, turned(h, value), first ? dq : more, d_.K);
        if (!first) g_.add(dq, g_.rows_of(more, d_.K), g_.ones());
        g_.advance(q, out, gradient(h, value), asking(next, first && query == 0, {LATHE_Q, gradient_of(LATHE_O)}));
        first = false;
      }
      if (normalise()) {
        g_.dots(q, dq, dots);
        g_.denominator_gradients(inv, dots);
        g_.add(dq, z, dots);
        g_.weigh(q, dots, w_.at(b_.weighed));
        g_.key_sum(g_.rows_of(w_.at(b_.weighed), d_.K), z_gradient(h));
      }
      g_.finish_mapped(LATHE_Q, now, head, unit_.head + h, dq);
    }
  }

  void walk_keys(const Step& now) const {
    const int64_t h = now.head;
    const Worker::Room dk = g_.room_for_mapped(LATHE_K, now, unit_.head + h, w_.at(b_.dk)), more{w_.at(b_.row), d_.K};
    const Tile keys = g_.keys(now, unit_.head + h);
    for (int64_t value = 0; value < group_.values(); value++) {
      const Tile values = g_.values(now, value_head(h, value));
      const Worker::Room dv = g_.room_for_values(now, value_head(h, value), w_.at(b_.dv));
      g_.read_out(keys, gradient(h, value), dv, d_.V);
      g_.finish_values(now, value_head(h, value), dv);
      g_.read_out(values, turned(h, value), value == 0 ? dk : more, d_.K);
      if (value > 0) g_.add(dk, g_.rows_of(more, d_.K), g_.ones());
    }
    if (normalise()) g_.add(dk, {z_gradient(h), 0, d_.K}, g_.ones());
    g_.finish_mapped(LATHE_K, now, unit_.head + h, unit_.head + h, dk);
  }

  void save(int64_t h) const {
    for (int64_t value = 0; value < group_.values(); value++)
      w_.save_state(gradient(h, value), p_[gradient_of(LATHE_STATE_IN)], s_.state, value_head(h, value));
    w_.save_z(z_gradient(h), p_[gradient_of(LATHE_Z_IN)], s_.state, unit_.head + h);
  }

  Worker& w_;
  const Plan& plan_;
  const Problem& p_;
  const Padded& d_;
  const BackwardLayout& b_;
  const Unit& unit_;
  const Group group_;
  const Sequence s_;
  const Gradient g_;
};

}  // namespace

void run_noncausal_backward(Worker& worker, const Unit& unit) { NoncausalBackward(worker, unit).run(); }

}  // namespace lathe
