#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "call.h"
#include "inputs.h"

namespace support {
namespace {

// Strides of a [B,T,H,width] tensor; of one with a further dimension as if the last two were one.
Extents laid_out(Layout layout, const Extents& shape) {
  if (shape.size() == 5) {
    Extents strides = laid_out(layout, {shape[0], shape[1], shape[2], shape[3] * shape[4]});
    strides[3] = shape[4];
    strides.push_back(1);
    return strides;
  }
  const int64_t T = shape[1], H = shape[2], width = shape[3];
  switch (layout) {
    case Layout::Bthd:
      return compact_strides(shape);
    case Layout::Bhtd:
      return {H * T * width, width, T * width, 1};
    case Layout::Gapped: {
      const int64_t head = width + 3, token = H * head + 5;
      return {T * token + 7, token, head, 1};
    }
    case Layout::Reversed:
      return {T * H * width, -H * width, width, 1};
  }
  return {};
}

// Strides of a [N,H,...] state, whose inner part is contiguous.
Extents state_strides(Layout layout, const Extents& shape) {
  Extents strides = compact_strides(shape);
  if (layout == Layout::Gapped) {
    strides[1] += 6;
    strides[0] = strides[1] * shape[1] + 10;
  }
  return strides;
}

std::vector<double> as_doubles(const std::vector<int64_t>& integers) { return {integers.begin(), integers.end()}; }

}  // namespace

Arguments::Arguments(const std::string& op, const Problem& problem, const Options& options, const Given* given)
    : op_(op), problem_(problem), options_(options) {
  const Problem& p = problem_;
  desc.size = sizeof desc;
  desc.op = op_.c_str();
  desc.variant = problem_.variant.c_str();
  desc.map = problem_.map.c_str();
  desc.scale = static_cast<float>(p.scale);
  desc.eps = static_cast<float>(p.eps);
  const std::pair<bool, uint64_t> flags[] = {
      {p.normalise, LATHE_NORMALISE}, {p.denom_max, LATHE_DENOM_MAX},       {p.tiled, LATHE_HEADS_TILED},
      {p.stabilise, LATHE_STABILISE}, {p.clamp, LATHE_CLAMP_GATES},         {p.softplus, LATHE_SOFTPLUS},
      {p.unit_keys, LATHE_UNIT_KEYS}, {p.unit_queries, LATHE_UNIT_QUERIES}, {p.sigmoid, LATHE_SIGMOID},
      {p.reflects, LATHE_REFLECT},    {p.mix_first, LATHE_MIX_FIRST}};
  for (const auto& [set, flag] : flags) desc.flags |= set ? flag : 0;
  for (const auto& [name, value] : problem_.attrs) attrs_.push_back({name.c_str(), value});
  desc.attrs = attrs_.data();
  desc.n_attrs = attrs_.size();

  const bool reads_keys = op != "readout", has_outputs = op != "accumulate" && !is_backward(op);
  if (op != "accumulate") {
    const Extents q = {p.B, p.queries(), p.HQ, p.D}, o = {p.B, p.queries(), p.out_heads(), p.V};
    add(LATHE_Q, options_.type, q, laid_out(options_.layout, q), p.q);
    if (has_outputs) add_output(LATHE_O, options_.type, o, laid_out(options_.layout, o));
    if (is_backward(op)) add_output(LATHE_GRAD | LATHE_O, options_.type, o, laid_out(options_.layout, o));
  }
  if (reads_keys) {
    Extents k = {p.B, p.T, p.HK, p.D};
    if (!p.mixture.empty()) k.insert(k.end() - 1, p.keys);
    const Extents v = {p.B, p.T, p.HV, p.V};
    Extents k_strides = laid_out(options_.layout, k);
    if (options_.one_key_head) k_strides[2] = 0;
    add(LATHE_K, options_.type, k, k_strides, p.k);
    add(LATHE_V, options_.type, v, laid_out(options_.layout, v), p.v);
  }
  add_states(reads_keys);
  const auto integers = [&](uint32_t role, const std::vector<int64_t>& values) {
    const Extents shape = {static_cast<int64_t>(values.size())};
    if (!values.empty()) add(role, options_.integer, shape, {1}, as_doubles(values));
  };
  integers(LATHE_LENGTHS, p.lengths);
  integers(LATHE_CU_SEQLENS, p.cu_seqlens);
  integers(LATHE_SLOTS, p.slots);
  integers(LATHE_POSITION, p.position);
  if (!p.mixture.empty() && reads_keys) add(LATHE_MIXTURE, Type::F32, {p.HK, p.keys}, {p.keys, 1}, p.mixture);
  if (p.M > 0) {
    const bool per_head = static_cast<int64_t>(p.projection.size()) > p.M * p.D;
    const Extents shape = per_head ? Extents{p.HQ, p.M, p.D} : Extents{p.M, p.D};
    add(LATHE_PROJECTION, Type::F32, shape, compact_strides(shape), p.projection);
  }
  for (const auto& [role, values] : {std::pair{LATHE_DECAY, &p.decay}, {LATHE_STEP_SIZE, &p.step_size}})
    if (!values->empty()) add(static_cast<uint32_t>(role), Type::F32, {p.state_heads()}, {1}, *values);
  const reference::Variant& variant = reference::variants().at(p.variant);
  if (const int64_t width = reference::gate_width(p); width > 0) {
    Extents gate = {p.B, p.T, p.state_heads(), width}, strides = laid_out(options_.layout, gate);
    if (variant.takes_gate) gate.pop_back(), strides.pop_back();
    add(LATHE_GATE, options_.type, gate, strides, p.gate);
  }
  for (const auto& [role, values] : {std::pair{LATHE_DT, &p.dt}, {LATHE_BETA, &p.beta}}) {
    if (!(role == LATHE_DT ? variant.takes_steps : variant.takes_beta)) continue;
    Extents shape = {p.B, p.T, p.state_heads(), 1}, strides = laid_out(options_.layout, shape);
    shape.pop_back(), strides.pop_back();
    add(static_cast<uint32_t>(role), options_.type, shape, strides, *values);
  }
  for (const auto& [role, values] : {std::pair{LATHE_DT_BIAS, &p.dt_bias}, {LATHE_SKIP, &p.skip}})
    if (!values->empty()) add(static_cast<uint32_t>(role), Type::F32, {p.state_heads()}, {1}, *values);
  if (!p.out_gate.empty()) {
    const Extents z = {p.B, p.T, p.out_heads(), p.V};
    add(LATHE_OUT_GATE, options_.type, z, laid_out(options_.layout, z), p.out_gate);
  }
  for (const auto& [role, values] : {std::pair{LATHE_A, &p.a}, {LATHE_B, &p.b}}) {
    if (!variant.takes_rows) continue;
    const Extents rows = {p.B, p.T, p.state_heads(), reference::map_width(p)};
    add(static_cast<uint32_t>(role), options_.type, rows, laid_out(options_.layout, rows), *values);
  }
  if (variant.takes_bonus) {
    const Extents bonus = {p.state_heads(), reference::map_width(p)};
    add(LATHE_BONUS, Type::F32, bonus, compact_strides(bonus), p.bonus);
  }
  if (is_backward(op)) add_gradients(given ? *given : given_reals(p, options_.type, 77, options_.states));
}

namespace {

struct GradientPart {
  std::vector<double> Gradients::*values;
  uint32_t role;
};
constexpr GradientPart gradient_parts[] = {{&Gradients::q, LATHE_Q},
                                           {&Gradients::k, LATHE_K},
                                           {&Gradients::v, LATHE_V},
                                           {&Gradients::gate, LATHE_GATE},
                                           {&Gradients::decay, LATHE_DECAY},
                                           {&Gradients::beta, LATHE_BETA},
                                           {&Gradients::bonus, LATHE_BONUS},
                                           {&Gradients::dt, LATHE_DT},
                                           {&Gradients::dt_bias, LATHE_DT_BIAS},
                                           {&Gradients::skip, LATHE_SKIP},
                                           {&Gradients::out_gate, LATHE_OUT_GATE},
                                           {&Gradients::projection, LATHE_PROJECTION},
                                           {&Gradients::state, LATHE_STATE_IN},
                                           {&Gradients::z, LATHE_Z_IN},
                                           {&Gradients::momentum, LATHE_MOMENTUM_IN},
                                           {&Gradients::mixture, LATHE_MIXTURE}};

}  // namespace

void Arguments::add_gradients(const Given& given) {
  const Problem& p = problem_;
  const int64_t K = reference::map_width(p);
  const Extents state = {p.rows(), p.state_heads(), K, p.V}, z = {p.rows(), p.HK, K};
  const auto strides = [&](const Extents& shape) { return state_strides(options_.layout, shape); };
  tensors.at(LATHE_GRAD | LATHE_O)->write(given.o);
  if (!given.state.empty()) add(LATHE_GRAD | LATHE_STATE_OUT, Type::F32, state, strides(state), given.state);
  if (!given.momentum.empty()) add(LATHE_GRAD | LATHE_MOMENTUM_OUT, Type::F32, state, strides(state), given.momentum);
  if (!given.z.empty()) add(LATHE_GRAD | LATHE_Z_OUT, Type::F32, z, strides(z), given.z);
  add_output(LATHE_GRAD | LATHE_STATE_IN, Type::F32, state, strides(state));
  const bool moves = reference::variants().at(p.variant).takes_momentum;
  const bool decay_has_gradient = p.step_size.empty();
  if (moves) add_output(LATHE_GRAD | LATHE_MOMENTUM_IN, Type::F32, state, strides(state));
  if (p.normalise) add_output(LATHE_GRAD | LATHE_Z_IN, Type::F32, z, strides(z));
  for (const GradientPart& part : gradient_parts)
    if (const auto of = tensors.find(part.role); of != tensors.end() && part.role != LATHE_STATE_IN &&
                                                 part.role != LATHE_Z_IN && part.role != LATHE_MOMENTUM_IN &&
                                                 (decay_has_gradient || part.role != LATHE_DECAY)) {
      Extents like = of->second->strides;
      if (part.role == LATHE_K && options_.one_key_head) like = laid_out(options_.layout, of->second->shape);
      add_output(LATHE_GRAD | part.role, of->second->type(), of->second->shape, like);
    }
  // rows that no slot names must keep what they hold
  if (p.slots.empty()) return;
  for (const uint32_t role : {LATHE_STATE_IN, LATHE_Z_IN, LATHE_MOMENTUM_IN})
    if (const auto out = tensors.find(LATHE_GRAD | role); out != tensors.end()) out->second->fill(0);
}

Gradients Arguments::gradients() const {
  Gradients all;
  for (const GradientPart& part : gradient_parts) all.*part.values = read(LATHE_GRAD | part.role);
  return all;
}

void Arguments::add_states(bool reads_keys) {
  const Problem& p = problem_;
  const int64_t K = reference::map_width(p);
  const reference::Answers start = reference::initial_answers(p);
  const auto add_pair = [&](uint32_t in, uint32_t out, const Extents& shape, bool given,
                            const std::vector<double>& values) {
    const Extents strides = state_strides(options_.layout, shape);
    if (given || (options_.in_place && !is_backward(op_)) || !reads_keys) add(in, Type::F32, shape, strides, values);
    if (!options_.states || !reads_keys || is_backward(op_)) return;
    if (options_.in_place) {
      tensors[out] = tensors.at(in);
    } else {
      add_output(out, Type::F32, shape, strides);
      // Rows that no slot names must keep what they hold.
      if (!p.slots.empty()) tensors.at(out)->write(values);
    }
  };
  add_pair(LATHE_STATE_IN, LATHE_STATE_OUT, {p.rows(), p.state_heads(), K, p.V}, !p.state.empty(), start.value.state);
  if (reference::variants().at(p.variant).takes_momentum)
    add_pair(LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT, {p.rows(), p.state_heads(), K, p.V}, !p.state.empty(),
             start.value.momentum);
  if (reference::variants().at(p.variant).adapts)
    add_pair(LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT, {p.rows(), p.state_heads(), K + p.V}, !p.state.empty(),
             start.value.last);
  if (p.normalise) add_pair(LATHE_Z_IN, LATHE_Z_OUT, {p.rows(), p.HK, K}, !p.z.empty(), start.value.z);
  if (p.stabilise && reads_keys) {
    const Extents shape = {p.rows(), p.HK};
    add(LATHE_STABILISER, Type::F32, shape, compact_strides(shape), start.value.stabiliser);
  }
  if (p.snapshots) {
    const Extents shape = {p.B, p.T, p.state_heads(), K, p.V};
    add_output(LATHE_SNAPSHOTS, Type::F32, shape, compact_strides(shape));
  }
}

void Arguments::add(uint32_t role, Type type, Extents shape, Extents strides, const std::vector<double>& values) {
  add_output(role, type, std::move(shape), std::move(strides));
  tensors.at(role)->write(values);
}

void Arguments::add_output(uint32_t role, Type type, Extents shape, Extents strides) {
  tensors[role] = std::make_shared<Tensor>(type, std::move(shape), std::move(strides), options_.edge);
  if (type != Type::I32 && type != Type::I64) tensors[role]->fill(std::numeric_limits<double>::quiet_NaN());
}

std::vector<lathe_arg> Arguments::list() const {
  std::vector<lathe_arg> args;
  for (const auto& [role, tensor] : tensors) args.push_back({role, &tensor->view});
  return args;
}

std::vector<double> Arguments::read(uint32_t role) const {
  const auto found = tensors.find(role);
  return found == tensors.end() ? std::vector<double>{} : found->second->read();
}

Answer Arguments::outputs() const {
  if (is_backward(op_)) {
    const Gradients g = gradients();
    Answer all{{}, g.state, g.z, {}, {}, g.momentum};
    for (const auto* part : {&g.q, &g.k, &g.v, &g.gate, &g.decay, &g.projection})
      all.o.insert(all.o.end(), part->begin(), part->end());
    return all;
  }
  return {read(LATHE_O),         read(LATHE_STATE_OUT),    read(LATHE_Z_OUT),         read(LATHE_STABILISER),
          read(LATHE_SNAPSHOTS), read(LATHE_MOMENTUM_OUT), read(LATHE_LAST_TOKEN_OUT)};
}

std::string Arguments::text() const {
  const Problem& p = problem_;
  std::string text = fmt::format("{} {} {} {} {} B{} T{} TQ{} HQ{} HK{} HV{} D{} V{} M{} scale {} eps {} threads {}",
                                 op_, p.variant, p.map, name_of(options_.type), name_of(options_.layout), p.B, p.T,
                                 p.queries(), p.HQ, p.HK, p.HV, p.D, p.V, p.M, p.scale, p.eps, options_.threads);
  const std::pair<bool, const char*> flags[] = {{p.tiled, " tiled"},
                                                {p.normalise, " normalise"},
                                                {p.denom_max, " denom_max"},
                                                {p.stabilise, " stabilise"},
                                                {p.clamp, " clamp"},
                                                {p.unit_keys, " unit_keys"},
                                                {p.unit_queries, " unit_queries"},
                                                {p.sigmoid, " sigmoid"},
                                                {p.reflects, " reflects"},
                                                {!p.mixture.empty(), " mixture"},
                                                {p.mix_first, " mix_first"},
                                                {!p.state.empty(), " state"},
                                                {options_.in_place, " in_place"},
                                                {p.snapshots, " snapshots"},
                                                {options_.free_extents, " free_extents"}};
  for (const auto& [set, name] : flags)
    if (set) text += name;
  const std::pair<const char*, const std::vector<int64_t>&> lists[] = {
      {"lengths", p.lengths}, {"cu_seqlens", p.cu_seqlens}, {"slots", p.slots}, {"position", p.position}};
  for (const auto& [name, values] : lists)
    if (!values.empty()) text += fmt::format(" {} {}", name, values);
  return text;
}

}  // namespace support
