#include "plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "../generators/stretch.h"
#include "device/walk.h"
#include "rows.h"
#include "status.h"
#include "structure.h"

namespace lathe {

namespace {

int64_t round_up(int64_t n, int64_t grain) { return (n + grain - 1) / grain * grain; }

// What was found of a description's field under a name, or the error that lists all that there are.
template <typename Row>
const Row* known(const Row* found, const char* field, const char* what, std::span<const Row> all,
                 std::string_view name) {
  if (found) return found;
  std::string names;
  for (const Row& row : all) names += written("{}\"{}\"", names.empty() ? "" : ", ", row.name);
  fail(LATHE_INVALID, "desc.{}: expected one of {}, got the unknown {} \"{}\"", field, names, what, name);
}

void set_attributes(const lathe_desc& desc, Meaning& m) {
  require(desc.attrs != nullptr || desc.n_attrs == 0, "desc.attrs: expected {}, got null", desc.n_attrs);
  for (size_t i = 0; i < desc.n_attrs; i++) {
    const char* name = desc.attrs[i].name;
    require(name != nullptr, "desc.attrs[{}]: expected a name, got null", i);
    require(*m.map->attribute && std::string_view(name) == m.map->attribute,
            "desc.attrs[{}]: expected {} for the map {}, got \"{}\"", i,
            *m.map->attribute ? written("only \"{}\"", m.map->attribute) : "none", m.map->name, name);
    require(!m.attribute_given, "desc.attrs[{}]: expected \"{}\" once, got it twice", i, name);
    // kernels compute with it in float32, and a width may be a multiple of it
    require(desc.attrs[i].value >= 1e-9 && desc.attrs[i].value <= 1e9,
            "attribute \"{}\": expected a positive number from 1e-9 to 1e9, got {}", name, desc.attrs[i].value);
    m.attribute = desc.attrs[i].value;
    m.attribute_given = true;
  }
}

const Entry* need(const char* row, const char* kernel, const char* axis) {
  const Entry* entry = find_kernel(row, kernel, axis);
  if (!entry)
    fail(LATHE_UNSUPPORTED, "no kernel {}{}{} for the row {} in this library: it was built without", kernel,
         *axis ? " " : "", axis, row);
  return entry;
}

Kernels choose_kernels(const Meaning& meaning, const Sizes& sizes, const char* row) {
  // a rising stabiliser is a decay, unless the variant has gates that it can join
  const char* transition =
      meaning.variant->decays() || !meaning.stabilise() ? meaning.variant->transition.data() : "decay";
  const auto pick = [&](const char* kernel, const char* axis) {
    return meaning.op->uses(kernel) ? need(row, kernel, axis) : nullptr;
  };
  const bool on_device = of_device(row);
  // gradients take tokens one by one on devices alone
  const auto pick_step = [&](const char* kernel) {
    return on_device || !meaning.op->backward() ? pick(kernel, "") : nullptr;
  };
  const auto pick_own = [&](const char* host, const char* device) {
    return meaning.op->uses(host) ? need(row, on_device ? device : host, "") : nullptr;
  };
  // where multipliers come from lanes chunks are faster, but for gates of each key
  const bool keyed = meaning.variant->keyed(), rank_one = meaning.variant->rank_one();
  const bool broadcasts = find_kernel(row, "recurrence_state", "") != nullptr;
  const bool recurs =
      meaning.by_recurrence(sizes) && !on_device && (broadcasts || (keyed && !meaning.variant->corrects()));
  const bool walks = meaning.variant->adapts() || (rank_one && on_device);
  Kernels k{};
  if (!walks && !recurs) {
    const bool normalised = meaning.normalise() && !meaning.op->backward();
    // with a gate for each key only gradients have a normaliser that is not the recurrence's
    k.causal = keyed && normalised ? nullptr : pick(normalised ? "causal_normalised" : "causal", transition);
    k.state = pick("state", transition);
    k.key_sum = keyed ? find_kernel(row, "key_sum_keys", "") : pick("key_sum", transition);
  }
  k.readout = pick("readout", "");
  k.key_step = pick("key_step", "");
  k.fixed_denominator = pick("fixed_denominator", "");
  k.recall = pick_step("recall");
  const bool corrects = meaning.variant->corrects();
  if (corrects && !recurs) {
    k.delta_solve = pick(keyed ? "delta_solve_keys" : "delta_solve", "");
    k.delta_values = pick("delta_values", "");
  }
  if (corrects) {
    k.decode_delta = keyed ? pick_own("decode_delta_keys", "delta_step_keys") : pick_own("decode_delta", "delta_step");
  } else if (meaning.variant->moves()) {
    k.decode_momentum = pick_step("decode_momentum");
  } else if (rank_one) {
    k.decode_rank_one = pick_own("decode_rank_one", "rank_one_step");
    k.exponentials = pick("exponentials", "");
  } else {
    k.decode = keyed ? nullptr : pick("decode", "");
    k.decode_keys = keyed ? pick("decode_keys", "") : nullptr;
  }
  if (recurs && meaning.variant->reads_state()) {
    k.recurrence = pick(rank_one ? "recurrence_rank_one" : "recurrence_delta", "");
    const char* of_keys = rank_one ? "recurrence_rank_one_keys" : "recurrence_delta_keys";
    k.recurrence_keys = meaning.gated() ? pick(of_keys, "") : nullptr;
    k.recurrence_pairs = pick("recurrence_pairs", "");
    k.recurrence_pairs_keys = keyed ? pick("recurrence_pairs_keys", "") : nullptr;
  } else if (recurs && meaning.variant->moves()) {
    k.recurrence = pick("recurrence_momentum", "");
    k.recurrence_one = pick("recurrence_momentum_one", "");
    k.recurrence_sums = pick("recurrence_sums", "");
  } else if (recurs) {
    const bool before = meaning.variant->reads_before();
    k.recurrence = pick(before ? "recurrence_before" : "recurrence", "");
    k.recurrence_keys = meaning.gated() ? pick(before ? "recurrence_keys_before" : "recurrence_keys", "") : nullptr;
    k.recurrence_sums = pick("recurrence_sums", "");
    k.recurrence_state = broadcasts ? pick("recurrence_state", "") : nullptr;
    k.weighed_dots = before ? pick("weighed_dots", "") : nullptr;
  }
  if (recurs && meaning.gated()) k.peaks = pick("peaks", "");
  if (recurs && keyed) {
    k.gate_factors = pick("gate_factors", "");
    k.gate_steps = pick("gate_steps", "");
  } else if (keyed && !walks) {
    k.gate_queries = pick("gate_queries", "");
    k.gate_keys = pick("gate_keys", "");
    k.gate_pairs = pick("gate_pairs", "");
  }
  if (keyed && !walks) {
    k.causal_columns = pick("causal_columns", "");
    k.running_key_sums = pick("running_key_sums", "");
    k.gate_gradients = pick("gate_gradients", "");
    k.add_products = pick("add_products", "");
    k.gate_sums = pick("gate_sums", "");
    k.exponentials = pick_step("exponentials");
  }
  if (keyed && !walks && !rank_one) {
    k.recall_more = pick("recall_more", "");
    k.update_keys = pick_step("update_keys");
  }
  if (meaning.variant->steps()) {
    k.softplus = pick("softplus", "");
    k.skip_rows = pick("skip_rows", "");
    k.gate_rows = pick("gate_rows", "");
    k.gate_slopes = pick("gate_slopes", "");
  }
  k.map = pick("map", meaning.map->name);
  k.transpose = pick("transpose", "");
  k.running_sums = pick("running_sums", "");
  for (const auto& [kernel, name] :
       {std::pair{&k.row_dots, "row_dots"}, {&k.weigh_rows, "weigh_rows"}, {&k.add_rows, "add_rows"}})
    *kernel = pick(name, "");
  if (meaning.op->backward()) {
    k.outer = need(row, "state", "plain");
    k.denominator_slopes = pick("denominator_slopes", "");
    k.row_sums = need(row, "key_sum", "plain");
  }
  k.map_backward = pick("map_backward", meaning.map->name);
  for (Storage s : {Storage::kF32, Storage::kF16, Storage::kBF16}) {
    k.widen[static_cast<int>(s)] = find_kernel(row, "widen", name_of(s));
    k.narrow[static_cast<int>(s)] = find_kernel(row, "narrow", name_of(s));
    k.map_from[static_cast<int>(s)] = map_from(row, *meaning.map, s);
    k.gather[static_cast<int>(s)] = find_kernel(row, "gather", name_of(s));
    k.scatter[static_cast<int>(s)] = find_kernel(row, "scatter", name_of(s));
    k.decay_sums[static_cast<int>(s)] = find_kernel(row, "decay_sums", name_of(s));
    k.decay_step[static_cast<int>(s)] = find_kernel(row, "decay_step", name_of(s));
    k.step_sums[static_cast<int>(s)] = find_kernel(row, "step_sums", name_of(s));
  }
  for (const auto& [kernel, name] : {std::pair{&k.carry, "carry"},
                                     {&k.states, transition == std::string_view("decay") ? "states_decay" : "states"},
                                     {&k.later_sums, "later_sums"},
                                     {&k.unit_rows, "unit_rows"},
                                     {&k.clamp_rows, "clamp_rows"},
                                     {&k.momentum_weights, "momentum_weights"},
                                     {&k.adaptive_rows, "adaptive_rows"},
                                     {&k.adaptive_moved, "adaptive_moved"},
                                     {&k.later_rows, "later_rows"},
                                     {&k.clamped_slopes, "clamped_slopes"},
                                     {&k.step_slopes, "step_slopes"},
                                     {&k.sum_step, "sum_step"},
                                     {&k.decode_before, "decode_before"},
                                     {&k.running_peaks, "running_peaks"},
                                     {&k.peak_sums, "peak_sums"},
                                     {&k.peak_rows, "peak_rows"},
                                     {&k.entered_rows, "entered_rows"}})
    *kernel = find_kernel(row, name, "");
  // on a device, where the host computes no number itself
  if (k.carry && meaning.sigmoid()) k.softplus = need(row, "softplus", "");
  if (k.carry && (meaning.sigmoid() || meaning.variant->moves())) k.exponentials = need(row, "exponentials", "");
  if (on_device && meaning.op->backward() && (meaning.variant->moves() || corrects))
    for (const auto& [kernel, name] : {std::pair{&k.update_keys, "update_keys"},
                                       {&k.exponentials, "exponentials"},
                                       {&k.add_products, "add_products"}})
      *kernel = need(row, name, "");
  return k;
}

// An operator is made of at least one of these; all have the chunk of their row.
const Entry& first_of(const Kernels& k) {
  for (const Entry* e :
       {k.causal, k.recurrence, k.readout, k.state, k.decode, k.decode_delta, k.decode_rank_one, k.decode_momentum})
    if (e) return *e;
  return *k.decode_keys;
}

// Keys past K that a kernel may write before zeros replace them: a map of several parts stores whole blocks of 16.
int64_t padded_keys(const Meaning& m, const Sizes& s) {
  const int64_t last = m.map->last(s.D, s.M, m.attribute);
  const bool exact = last == s.K || (s.K % 16 == 0 && last % 16 == 0);
  return round_up(exact ? s.K : s.K + 15, 16);
}

// What kernels of chunks ask for; where the recurrence takes their place, several of them.
int64_t chunk_of(const Kernels& k) {
  const int64_t chunk = first_of(k).chunk;
  return k.recurrence ? chunk * std::max<int64_t>(1, kStretch / chunk) : chunk;
}

Padded pad(const Meaning& meaning, const Sizes& sizes, const Kernels& k) {
  int value = 16;  // what storage kernels ask for
  for (const Entry* e : {k.causal, k.recurrence, k.recurrence_keys, k.recurrence_state, k.recurrence_one,
                         k.causal_columns, k.state, k.readout, k.delta_values, k.decode, k.decode_delta,
                         k.decode_rank_one, k.decode_momentum, k.decode_keys, k.recall_more})
    if (e) value = std::lcm(value, e->value_grain);
  // a gradient is also the other way round: keys, and what is projected, become the columns of a product; and no row
  // and no projection is narrower than the keys that a map of columns makes of it. The delta rule has one such product
  const int turned = meaning.op->backward() ? value : k.delta_values ? std::lcm(16, k.delta_values->value_grain) : 16;
  const int features = std::lcm(turned, k.map->value_grain);
  const int64_t M = round_up(sizes.M, features);
  return {round_up(sizes.D, turned),
          M,
          round_up(padded_keys(meaning, sizes), turned),
          round_up(sizes.V, value),
          chunk_of(k),
          value,
          k.map_backward ? round_up(M, k.map_backward->value_grain) : M};
}

void same(const char* what, const char* role, int64_t planned, int64_t came) {
  require(planned == kFree || planned == came, "{}: expected {} = {} as in the plan, got {}", role, what, planned,
          came);
}

}  // namespace

Meaning understand(const lathe_desc& desc) {
  check_structure(desc, "desc");
  Meaning m;
  require(desc.op != nullptr, "desc.op: expected the name of an operator, got null");
  m.op = known(find_operator(desc.op), "op", "operator", operators(), desc.op);
  const char* map = desc.map ? desc.map : "identity";
  m.map = known(find_map(map), "map", "feature map", feature_maps(), map);
  const std::string_view variant = desc.variant ? desc.variant : "plain";
  m.variant = known(find_variant(variant), "variant", "variant", variants(), variant);
  if (m.variant->directed() && m.op->op != Op::kCausal && m.op->op != Op::kDecode && m.op->op != Op::kCausalBackward)
    fail(LATHE_UNSUPPORTED,
         "desc.variant: \"{}\" has a direction: expected the operator \"causal\", \"decode\" or \"causal_backward\", "
         "got "
         "\"{}\"",
         variant, desc.op);
  constexpr std::pair<uint64_t, const char*> of_the_delta_rule[] = {{LATHE_UNIT_KEYS, "UNIT_KEYS"},
                                                                    {LATHE_UNIT_QUERIES, "UNIT_QUERIES"},
                                                                    {LATHE_SIGMOID, "SIGMOID"},
                                                                    {LATHE_REFLECT, "REFLECT"}};
  uint64_t known = LATHE_NORMALISE | LATHE_DENOM_MAX | LATHE_HEADS_TILED | LATHE_STABILISE | LATHE_CLAMP_GATES |
                   LATHE_SOFTPLUS | LATHE_MIX_FIRST;
  for (const auto& [flag, name] : of_the_delta_rule) known |= flag;
  require((desc.flags & ~known) == 0, "desc.flags: expected flags of this version, got the unknown bits {:#x}",
          desc.flags & ~known);
  require(!(desc.flags & LATHE_DENOM_MAX) || (desc.flags & LATHE_NORMALISE),
          "desc.flags: expected NORMALISE beside DENOM_MAX, got {:#x}", desc.flags);
  if (desc.flags & LATHE_NORMALISE && !m.variant->has_normaliser())
    fail(
        LATHE_UNSUPPORTED,
        "desc.flags: expected no NORMALISE, since the variant {} has no normaliser: a sum of keys does not follow what "
        "it takes away, got {:#x}",
        variant, desc.flags);
  require(!(desc.flags & LATHE_STABILISE) || m.map->stabilises(),
          "desc.flags: expected no STABILISE, since the map {} has nothing to stabilise, got {:#x}", map, desc.flags);
  if ((m.variant->reads_before() || !m.variant->has_normaliser() || m.variant->brings_step_size()) &&
      desc.flags & LATHE_STABILISE)
    fail(LATHE_UNSUPPORTED, "desc.flags: expected no STABILISE beside the variant {}, got {:#x}", variant, desc.flags);
  if (m.op->backward() && !m.variant->has_gradient())
    fail(LATHE_UNSUPPORTED,
         "desc.variant: \"{}\" has no gradient yet: expected the operator \"causal\" or \"decode\", got \"{}\"",
         variant, desc.op);
  if (m.op->op == Op::kDecode && !m.variant->recurs())
    fail(LATHE_UNSUPPORTED,
         "desc.variant: \"{}\" is no recurrence, since a token counts by how many are to come: expected the operator "
         "\"causal\" or \"causal_backward\", got \"{}\"",
         variant, desc.op);
  require(!(desc.flags & LATHE_CLAMP_GATES) || (m.variant->directed() && !m.variant->adapts()),
          "desc.flags: expected no CLAMP_GATES, since the variant {} has no gates, got {:#x}", variant, desc.flags);
  require(!(desc.flags & LATHE_SOFTPLUS) || m.variant->steps(),
          "desc.flags: expected no SOFTPLUS, since the variant {} has no steps, got {:#x}", variant, desc.flags);
  for (const auto& [flag, name] : of_the_delta_rule)
    require(!(desc.flags & flag) || m.variant->corrects(),
            "desc.flags: expected no {}, since the variant {} has no delta rule, got {:#x}", name, variant, desc.flags);
  require(std::isfinite(desc.scale), "desc.scale: expected a finite number, got {}", desc.scale);
  require(std::isfinite(desc.eps) && desc.eps >= 0, "desc.eps: expected a number that is not negative, got {}",
          desc.eps);
  m.scale = desc.scale;
  m.eps = desc.eps;
  m.flags = desc.flags;
  set_attributes(desc, m);
  return m;
}

namespace {

// A default attribute follows the head width, which only the arguments tell.
int64_t head_width(const lathe_arg* args, size_t n_args) {
  for (size_t i = 0; i < n_args && args; i++)
    if ((args[i].role == LATHE_Q || args[i].role == LATHE_K) && args[i].tensor && args[i].tensor->ndim >= 4 &&
        args[i].tensor->ndim <= 5 && args[i].tensor->shape)
      // what lies outside is refused by name later
      return std::clamp<int64_t>(args[i].tensor->shape[args[i].tensor->ndim - 1], 1, 1024);
  return 1;
}

void default_attribute(Meaning& m, int64_t d) {
  if (m.attribute_given) return;
  m.attribute = m.map->fallback(d);
  require(!std::isnan(m.attribute), "attribute \"{}\": expected one, since the map {} needs it, got none",
          m.map->attribute, m.map->name);
}

}  // namespace

Plan make_plan(const lathe_desc& desc, const lathe_arg* args, size_t n_args, int threads) {
  Plan plan;
  plan.meaning = understand(desc);
  if (!plan.meaning.op->built())
    fail(LATHE_UNSUPPORTED, "desc.op: this library was built without \"{}\" (LATHE_OPS)", plan.meaning.op->name);
  default_attribute(plan.meaning, head_width(args, n_args));
  const Problem problem = bind(plan.meaning, args, n_args, true);
  plan.sizes = problem.sizes;
  for (uint32_t role = 0; role < kRoles; role++) {
    plan.storage[role] = problem[role].storage;
    plan.present[role] = problem[role].present();
  }
  plan.device = problem.device;
  if (plan.device != kCpu) check_device(plan.meaning, problem);
  plan.row = plan.device == kCpu ? choose_row() : device_row(plan.device);
  plan.kernels = choose_kernels(plan.meaning, plan.sizes, plan.row.row);
  const bool device = plan.device != kCpu;
  // numbers of tokens, which the host of a CPU row widens itself
  for (uint32_t role : {uint32_t{LATHE_GATE}, uint32_t{LATHE_DT}, uint32_t{LATHE_BETA}})
    if (device && plan.present[role]) need(plan.row.row, "gather", name_of(plan.storage[role]));
  for (uint32_t role : {uint32_t{LATHE_Q}, uint32_t{LATHE_K}, uint32_t{LATHE_V}, uint32_t{LATHE_O},
                        uint32_t{LATHE_OUT_GATE}, uint32_t{LATHE_A}, uint32_t{LATHE_B}, gradient_of(LATHE_Q),
                        gradient_of(LATHE_K), gradient_of(LATHE_V), gradient_of(LATHE_O), gradient_of(LATHE_GATE),
                        gradient_of(LATHE_DT), gradient_of(LATHE_BETA), gradient_of(LATHE_OUT_GATE)})
    if (plan.present[role] && plan.storage[role] != Storage::kF32) {
      need(plan.row.row, device ? "gather" : "widen", name_of(plan.storage[role]));
      need(plan.row.row, device ? "scatter" : "narrow", name_of(plan.storage[role]));
    }
  plan.padded = pad(plan.meaning, plan.sizes, plan.kernels);
  plan.threads = threads;
  return plan;
}

Problem bind_run(const Plan& plan, const lathe_arg* args, size_t n_args, SlotList& slots) {
  Problem problem = bind(plan.meaning, args, n_args, false);
  for (uint32_t role = 0; role < kRoles; role++) {
    if (!plan.present[role] && !problem[role].present()) continue;
    const char* name = find_role(role)->name;
    require(plan.present[role] == problem[role].present(), "{}: expected {} as in the plan, got {}", name,
            plan.present[role] ? "one" : "none", plan.present[role] ? "none" : "one");
    require(plan.storage[role] == problem[role].storage, "{}: expected {} as in the plan, got {}", name,
            name_of(plan.storage[role]), name_of(problem[role].storage));
  }
  require(plan.device == problem.device, "args: expected device type {} as in the plan, got {}", plan.device,
          problem.device);
  const Sizes &a = plan.sizes, &b = problem.sizes;
  same("B", "Q", a.B, b.B);
  same("T", "Q", a.Tq, b.Tq);
  same("T", "K", a.Tk, b.Tk);
  same("N", "CU_SEQLENS", a.N, b.N);
  same("slots", "STATE_IN", a.states, b.states);
  same("HQ", "Q", a.HQ, b.HQ);
  same("HK", "K", a.HK, b.HK);
  same("HV", "V", a.HV, b.HV);
  same("D", "Q", a.D, b.D);
  same("M", "PROJECTION", a.M, b.M);
  same("V", "V", a.V, b.V);
  same("M", "MIXTURE", a.keys, b.keys);
  check_contents(problem, plan.meaning, slots);
  return problem;
}

std::string describe(const Plan& plan) {
  const Kernels& k = plan.kernels;
  std::string kernels;
  const auto add = [&](const Entry* e) {
    kernels += written("{}{{\"name\": \"{}\", \"record\": \"{}\", \"numbers\": \"{}\"}}", kernels.empty() ? "" : ", ",
                       e->symbol, e->record, e->numbers);
  };
  const Op op = plan.meaning.op->op;
  add(k.map);
  if (k.state && op != Op::kDecode) add(k.state);
  if (k.causal && op == Op::kCausal) {
    if (!k.carry) add(k.transpose);  // devices read keys as they lie
    add(k.causal);
  }
  if (op == Op::kNoncausal || op == Op::kReadout) add(k.readout);
  for (const Entry* e : {k.gate_sums,
                         k.gate_factors,
                         k.gate_steps,
                         k.weighed_dots,
                         k.peaks,
                         k.recurrence,
                         k.recurrence_keys,
                         k.recurrence_state,
                         k.recurrence_one,
                         k.recurrence_pairs,
                         k.recurrence_pairs_keys,
                         k.gate_queries,
                         k.gate_keys,
                         k.gate_pairs,
                         k.exponentials,
                         k.softplus,
                         k.weigh_rows,
                         k.skip_rows,
                         k.gate_rows,
                         k.delta_solve,
                         k.delta_values,
                         k.decode_keys,
                         k.recall_more,
                         k.update_keys,
                         k.decode_delta,
                         k.decode_rank_one,
                         k.decode_momentum,
                         k.decode})
    if (e) add(e);
  if (plan.meaning.normalise()) {
    if (k.recurrence_sums) add(k.recurrence_sums);
    if (k.key_sum && (op == Op::kCausal || op == Op::kNoncausal || op == Op::kAccumulate)) add(k.key_sum);
    if (op == Op::kCausal || op == Op::kDecode) add(k.key_step);
    if (k.fixed_denominator) add(k.fixed_denominator);
  }
  return written(
      "{{\"op\": \"{}\", \"variant\": \"{}\", \"map\": \"{}\", \"target\": \"{}\", \"why\": \"{}\", "
      "\"record\": \"{}\", \"chunk\": {}, \"threads\": {}, \"K\": {}, \"padded\": {{\"K\": {}, \"V\": {}}}, "
      "\"kernels\": [{}]}}",
      plan.meaning.op->name, plan.meaning.variant->name, plan.meaning.map->name, plan.row.row, plan.row.reason,
      first_of(k).record, plan.padded.C, plan.threads, plan.sizes.K, plan.padded.K, plan.padded.V, kernels);
}

}  // namespace lathe
