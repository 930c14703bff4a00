#include "walk.h"

#include "delta_scan.h"
#include "keyed_gradients.h"
#include "keyed_scan.h"
#include "recurrence.h"
#include "token_gradients.h"

namespace lathe {

namespace {

// Chunks of all sequences at once, but for the sum of what they add.
class Scan : public Tiles {
 public:
  using Tiles::Tiles;
  void run() { plan_.meaning.op->op == Op::kCausal ? causal() : noncausal(); }

 private:
  // What enters each chunk, and behind the last what leaves it.
  struct Entering {
    Tile states, sums;
  };
  Entering scan(const Tile& k, const Tile& v, const Decays& decays) {
    const Tile before = entering_states();
    Entering e{tile(d_.V, d_.K, k.items + s_.N, s_.HV), {}};
    for (int64_t value = 0; value < group_.values(); value++) {
      const Heads heads = heads_of(s_.HV, value);
      scan_states(k, all(k), v, heads, rows(before, heads), decays, heads, e.states, heads);
    }
    if (!normalise()) return e;
    // rows but the first are none, and are carried with it
    const Tile sums = entering_sums(), added_sums = zeros(d_.K, kRows, k.items, s_.HK);
    e.sums = tile(d_.K, kRows, k.items + s_.N, s_.HK);
    const Heads of = heads_of(s_.HV, 0);  // all values of a key head have one decay
    with_sums(decays, of, [&](auto&... b) {
      launcher_.call(*k_.key_sum, rows(k), row_of_all(no_keys_, d_.K, k.items, s_.HK), b..., row(added_sums));
    });
    carry(added_sums, rows(sums), decays, of, e.sums, all(e.sums));
    return e;
  }
  void save(const Entering& e) {
    for (const Ends& ends : ends_) Tiles::save(ends, e.states, e.sums, ends.chunks * s_.N);
  }
  void causal() {
    const Items items = tables_.chunks(p_, LATHE_Q, d_.C);
    plan_tables(LATHE_Q, d_.C);
    const Variant& variant = *plan_.meaning.variant;
    take_rows_in_place(items, d_.C, true);
    begin(d_.C);
    const Tile q = mapped(LATHE_Q, items, d_.C), k = mapped(LATHE_K, items, d_.C), as_came = values(items, d_.C);
    const Tile o = place_of_outputs(items, d_.C);
    const Decays decays = with_rises(this->decays(items));
    const Tile v =
        variant.weighs() ? weighed(as_came, variant.foresees() ? weights_to_come(items) : decays.steps) : as_came;
    const Entering e = scan(k, v, decays);
    for (int64_t l = 0; l < group_.outputs(); l++) {
      const OutputHeads of = heads_of_output(l);
      const auto outputs = [&](auto&&... of_sums) {
        with_sums(decays, of.values, [&](auto&... b) {
          launcher_.call(*k_.causal, rows(q, of.queries), rows(k), rows(v, of.values),
                         rows(e.states, of.values, 0, items.count), of_sums..., b..., at(k, all(k)), at(q, of.queries),
                         at(v, of.values), at(o, of.outputs), written(o, of.outputs),
                         counted({&q, &k, &v, &o}, of.values), rows(o, of.outputs));
        });
      };
      if (normalise())
        outputs(row(e.sums, all(e.sums), 0, items.count), float{plan_.meaning.eps}, at_least());
      else
        outputs();
    }
    if (!o.in_place) scatter(finished(o, as_came, items), 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), items, s_.V);
    save(e);
  }

  // Sums over keys, from chunks that are carried from one to the next; all queries of a sequence read what is left.
  void noncausal() {
    const bool adds = p_[LATHE_K].present(), reads = p_[LATHE_Q].present();
    const int64_t queries = reads ? padded_rows(most_chunks(p_, LATHE_Q, 1)) : 0;
    const Items of_keys = adds ? tables_.chunks(p_, LATHE_K, d_.C) : Items{};
    const Items of_queries = queries > 0 ? tables_.chunks(p_, LATHE_Q, queries) : Items{};
    plan_tables(LATHE_K, d_.C);
    begin(queries);
    Entering e{};
    if (adds) {
      const Tile k = mapped(LATHE_K, of_keys, d_.C), v = values(of_keys, d_.C);
      e = scan(k, v, with_rises(Decays{}));
    } else {
      e = {entering_states(), normalise() ? entering_sums() : Tile{}};
    }
    const int64_t last = of_keys.count;
    if (queries > 0) {
      const Tile q = mapped(LATHE_Q, of_queries, queries), o = tile(d_.V, queries, s_.N, s_.out_heads());
      const Tile inverses = normalise() ? tile(queries, kSpaced, s_.N, s_.HQ) : ones_;
      for (int64_t l = 0; l < group_.outputs(); l++) {
        const OutputHeads of = heads_of_output(l);
        if (!normalise()) {
          launcher_.call(*k_.readout, rows(q, of.queries), rows(e.states, of.values, last, s_.N),
                         row_of_all(ones_, queries, s_.N, s_.HK), rows(o, of.outputs));
          continue;
        }
        denominators(rows(q, of.queries), row_again(e.sums, all(e.sums), queries, last, s_.N),
                     row(inverses, of.queries, 0, s_.N));
        launcher_.call(*k_.readout, rows(q, of.queries), rows(e.states, of.values, last, s_.N),
                       row(inverses, of.queries, 0, s_.N), rows(o, of.outputs));
      }
      scatter(o, 0, p_[LATHE_O], of_tokens(p_[LATHE_O]), of_queries, s_.V);
    }
    save(e);
  }
};

template <typename Walk>
uint64_t walk(const Plan& plan, const Problem& problem, Device& device, const Place& workspace) {
  Walk walk(plan, problem, device, workspace);
  walk.run();
  return walk.bytes();
}
uint64_t any_walk(const Plan& plan, const Problem& problem, Device& device, const Place& workspace) {
  if (problem.sizes.N == 0) return 0;
  switch (plan.meaning.op->op) {
    case Op::kCausalBackward:
      if (plan.meaning.variant->corrects()) return walk<DeltaGradients>(plan, problem, device, workspace);
      if (plan.meaning.variant->moves()) return walk<MomentumGradients>(plan, problem, device, workspace);
      if (plan.meaning.variant->keyed()) return walk<KeyedGradients>(plan, problem, device, workspace);
      return walk<CausalGradients>(plan, problem, device, workspace);
    case Op::kNoncausalBackward:
      return walk<NoncausalGradients>(plan, problem, device, workspace);
    default:
      break;
  }
  if (KeyedScan::takes(plan.meaning)) return walk<KeyedScan>(plan, problem, device, workspace);
  if (DeltaScan::takes(plan.meaning)) return walk<DeltaScan>(plan, problem, device, workspace);
  return Recurrence::takes(plan.meaning) ? walk<Recurrence>(plan, problem, device, workspace)
                                         : walk<Scan>(plan, problem, device, workspace);
}

// A device on which nothing happens.
class Nowhere : public Device {
  void stage(const Place&, const void*, size_t) override {}
  void fill(const Place&, float, size_t) override {}
  void launch(const Launch&) override {}
  // a call may take any tensors of these sizes, and tiles of their rows are the most that it wants
  bool aligned(const Tensor&, uint64_t) const override { return false; }
};

// What the formula of a variant makes of a gate, or of a decay and a step, is all that devices know of it.
bool known_formula(const Variant& v) {
  const float g = -0.75F, dt = 0.5F;
  float left = 0;
  v.log_decays({{reinterpret_cast<const char*>(&g), 0, Storage::kF32},
                {reinterpret_cast<const char*>(&dt), 0, Storage::kF32},
                0,
                1},
               1, &left);
  const bool brings_one = (v.inputs & bits({LATHE_GATE, LATHE_DECAY})) != 0;
  return !v.decays() || (brings_one && left == (v.steps() ? g * dt : g));
}

}  // namespace

void check_device(const Meaning& m, const Problem& p) {
  const auto refuse = [](const char* what) {
    fail(LATHE_UNSUPPORTED, "device tensors: expected a call without {}, which devices do not compute yet", what);
  };
  if (!known_formula(*m.variant)) refuse("a formula of its own for what tokens leave of a state");
  if (m.op->backward() && m.variant->corrects() && m.variant->decays() && !p[LATHE_GATE].present())
    refuse("gradients of a delta rule by DECAY");
  if (m.op->backward() && m.stabilise()) refuse("gradients under the flag STABILISE");
}

void run_on_device(const Plan& plan, const Problem& problem, Device& device, const Place& workspace) {
  any_walk(plan, problem, device, workspace);
}

uint64_t device_workspace(const Plan& plan, const Problem& problem) {
  Nowhere nowhere;
  return any_walk(plan, problem, nowhere, {});
}

}  // namespace lathe
