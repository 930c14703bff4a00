#include "drawn_call.h"

#include <algorithm>

#include "listed.h"

namespace fuzz {

namespace {

constexpr int64_t kMostKeys = 1000;

}  // namespace

DrawnCall::DrawnCall(Bytes& bytes) : bytes_(bytes) {
  draw_description();
  draw_heads();
  draw_sizes();
  draw_sequences();
  draw_tensors();
  for (int64_t n = std::max<int64_t>(0, bytes_.below(6) - 2); n > 0; n--) {
    spoiled = true;
    if (bytes_.below(4) == 0 || arguments_.empty())
      spoil_description();
    else
      spoil_tensor(arguments_[static_cast<size_t>(bytes_.below(static_cast<int64_t>(arguments_.size())))]);
  }
  for (Argument& a : arguments_) place(a);
}

void DrawnCall::draw_description() {
  op_ = bytes_.one_of(operators());
  const Map& map = bytes_.one_of(maps());
  map_ = map.name;
  attribute_ = map.attribute;
  normalise_ = bytes_.either();
  backward_ = op_.ends_with("_backward");
  const bool directed = op_ == "causal" || op_ == "decode" || op_ == "causal_backward";
  const Variant& drawn = directed ? bytes_.one_of(variants()) : variants().front();
  // some have no gradient, and one has no recurrence
  const bool refused = backward_ ? drawn.rows || drawn.adapts : op_ == "decode" && drawn.sizes && !drawn.moves;
  const Variant& variant = refused ? variants().front() : drawn;
  variant_ = variant.name;
  decay_ = variant.decay;
  gate_ = variant.gate;
  bonus_ = variant.bonus;
  steps_ = variant.steps;
  beta_ = variant.beta;
  sizes_of_steps_ = variant.sizes;
  moves_ = variant.moves;
  adapts_ = variant.adapts;
  rows_ = variant.rows;
  normalise_ = normalise_ && !beta_ && !rows_;
  keyed_ = variant.keyed;
  stabilise_ = map_ == "favor_performer" && !bonus_ && !beta_ && !sizes_of_steps_ && !rows_ && bytes_.either();
  desc.size = sizeof desc;
  desc.op = op_.c_str();
  desc.variant = variant_ == "plain" && bytes_.either() ? nullptr : variant_.c_str();
  desc.map = map_ == "identity" && bytes_.either() ? nullptr : map_.c_str();
  desc.scale = static_cast<float>(bytes_.between(-4, 12)) / 8.f;
  desc.eps = static_cast<float>(bytes_.below(8)) / 1024.f;
  desc.flags = (normalise_ ? LATHE_NORMALISE : 0) | (normalise_ && bytes_.either() ? LATHE_DENOM_MAX : 0) |
               (bytes_.either() ? LATHE_HEADS_TILED : 0) | (stabilise_ ? LATHE_STABILISE : 0) |
               (variant_ != "plain" && !adapts_ && bytes_.below(4) == 0 ? LATHE_CLAMP_GATES : 0) |
               (steps_ && bytes_.either() ? LATHE_SOFTPLUS : 0);
  sizes_.keys = op_ != "readout" && !stabilise_ && bytes_.below(4) == 0 ? bytes_.between(1, 3) : 0;
  if (sizes_.keys > 0 && bytes_.either()) desc.flags |= LATHE_MIX_FIRST;
  if (beta_)
    for (const uint64_t flag : {LATHE_UNIT_KEYS, LATHE_UNIT_QUERIES, LATHE_SIGMOID, LATHE_REFLECT})
      desc.flags |= bytes_.either() ? flag : 0;
  if (map.required || (!attribute_.empty() && bytes_.either()))
    attributes_.push_back(
        {attribute_.c_str(), static_cast<double>(map.required ? bytes_.between(1, 1000) : bytes_.between(1, 3))});
  desc.attrs = attributes_.data();
  desc.n_attrs = attributes_.size();
  sizes_.D = bytes_.between(1, 70);
  sizes_.M = map.projects ? bytes_.between(1, 40) : 0;
}

void DrawnCall::draw_heads() {
  Sizes& s = sizes_;
  const int64_t side = bytes_.below(3), group = bytes_.between(1, 3);
  s.HK = bytes_.between(1, 3);
  s.HQ = s.HK * (side == 1 ? group : 1);
  // a normaliser follows one decay only
  s.HV = s.HK * (side == 2 && !(normalise_ && variant_ != "plain") ? group : 1);
}

void DrawnCall::draw_sizes() {
  Sizes& s = sizes_;
  s.B = bytes_.below(4);
  s.T = op_ == "decode" ? bytes_.below(6) : bytes_.below(150);
  s.TQ = op_.starts_with("noncausal") && bytes_.either() ? bytes_.below(60) : s.T;
  s.V = bytes_.between(1, 70);
  const auto too_wide = [&] {
    return lathe_map_width(map_.c_str(), s.D, s.M, attributes_.data(), attributes_.size(), &s.K) == LATHE_OK &&
           s.K > kMostKeys;
  };
  while (too_wide()) s.D /= 2;
}

void DrawnCall::draw_sequences() {
  Sizes& s = sizes_;
  const int64_t kind = bytes_.below(3);
  if (kind == 1 && s.B > 0)
    for (int64_t b = 0; b < s.B; b++) lengths_.push_back(bytes_.between(0, s.T));
  if (kind == 2 && s.TQ == s.T) {
    s.B = 1;
    cu_seqlens_ = {0};
    for (int64_t n = bytes_.between(1, 4); n > 1; n--) cu_seqlens_.push_back(bytes_.between(cu_seqlens_.back(), s.T));
    cu_seqlens_.push_back(s.T);
  }
  s.N = cu_seqlens_.empty() ? s.B : static_cast<int64_t>(cu_seqlens_.size()) - 1;
  s.rows = s.N;
  if (bytes_.either() && s.N > 0) {
    s.rows = s.N + bytes_.below(3);
    for (int64_t n = 0; n < s.N; n++) slots_.push_back(s.rows - 1 - n);
  }
  if (bytes_.either())
    for (int64_t n = 0; n < s.N; n++) positions_.push_back(bytes_.below(100000));
}

Argument* DrawnCall::add(uint32_t role, Type type, std::vector<int64_t> shape, Argument::Use use) {
  Argument& a = arguments_.emplace_back(Argument{role, use, std::move(shape), {}, {}, {}, {}});
  const int64_t storage = type == kFloat ? bytes_.below(3) : 0;
  a.view.device_type = 1;
  a.view.lanes = 1;
  a.view.code = type == kInteger ? 0 : storage == 2 ? 4 : 2;
  a.view.bits = type == kInteger ? (bytes_.either() ? 64 : 32) : storage == 0 ? 32 : 16;
  return &a;
}

// Any order of the outer dimensions, gaps, backwards; inputs also repeat what is one row.
void DrawnCall::lay_out(Argument& a) {
  const uint32_t of = a.role & ~uint32_t{LATHE_GRAD};
  const bool states = of == LATHE_SNAPSHOTS || of == LATHE_STATE_IN || of == LATHE_STATE_OUT ||
                      of == LATHE_MOMENTUM_IN || of == LATHE_MOMENTUM_OUT;
  const int64_t dense = states                                                                            ? 2
                        : (of == LATHE_GATE && a.shape.size() == 3) || of == LATHE_DT || of == LATHE_BETA ? 0
                                                                                                          : 1;
  const auto outer = static_cast<int64_t>(a.shape.size()) - dense;
  if (outer <= 0 || bytes_.either()) return;
  a.strides.assign(a.shape.size(), 1);
  int64_t at = 1;
  for (size_t d = a.shape.size(); d-- > static_cast<size_t>(outer);) a.strides[d] = at, at *= a.shape[d];
  std::vector<size_t> order;
  for (int64_t d = 0; d < outer; d++) order.insert(order.begin() + bytes_.below(d + 1), static_cast<size_t>(d));
  for (size_t d : order) {
    at += bytes_.below(4);
    a.strides[d] = bytes_.below(4) == 0 ? -at : at;
    if (a.use == Argument::kRead && bytes_.below(6) == 0)
      a.strides[d] = 0;
    else
      at *= std::max<int64_t>(a.shape[d], 1);
  }
}

void DrawnCall::add_states(uint32_t in, uint32_t out, const std::vector<int64_t>& shape) {
  const bool must_read = op_ == "readout", must_write = op_ == "accumulate";
  // the choice is one for states, normalisers and momenta
  static constexpr uint32_t kStates[] = {LATHE_STATE_IN, LATHE_STATE_OUT};
  const auto came = [&](uint32_t role) {
    return std::any_of(arguments_.begin(), arguments_.end(), [&](const Argument& a) { return a.role == role; });
  };
  const bool first = in == kStates[0], updates = in == out;
  const bool reads = updates || (first ? must_read || bytes_.either() : came(kStates[0]));
  const bool writes =
      !updates && op_ != "readout" && !backward_ && (first ? must_write || bytes_.either() : came(kStates[1]));
  if (reads) lay_out(*add(in, kFloat32, shape, updates ? Argument::kUpdated : Argument::kRead));
  if (writes) lay_out(*add(out, kFloat32, shape, Argument::kWritten));
}

void DrawnCall::draw_tensors() {
  const Sizes& s = sizes_;
  if (op_ != "accumulate") {
    lay_out(*add(LATHE_Q, kFloat, {s.B, s.TQ, s.HQ, s.D}));
    if (backward_)
      lay_out(*add(LATHE_GRAD | LATHE_O, kFloat, {s.B, s.TQ, s.out_heads(), s.V}));
    else
      lay_out(*add(LATHE_O, kFloat, {s.B, s.TQ, s.out_heads(), s.V}, Argument::kWritten));
  }
  if (op_ != "readout") {
    std::vector<int64_t> keys = {s.B, s.T, s.HK, s.D};
    if (s.keys > 0) keys.insert(keys.end() - 1, s.keys);
    lay_out(*add(LATHE_K, kFloat, keys));
    if (s.keys > 0) lay_out(*add(LATHE_MIXTURE, kFloat32, {s.HK, s.keys}));
    lay_out(*add(LATHE_V, kFloat, {s.B, s.T, s.HV, s.V}));
  }
  add_states(LATHE_STATE_IN, LATHE_STATE_OUT, {s.rows, s.state_heads(), s.K, s.V});
  if (moves_) add_states(LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT, {s.rows, s.state_heads(), s.K, s.V});
  if (adapts_) add_states(LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT, {s.rows, s.state_heads(), s.K + s.V});
  if (normalise_) add_states(LATHE_Z_IN, LATHE_Z_OUT, {s.rows, s.HK, s.K});
  if (stabilise_ && op_ != "readout") add_states(LATHE_STABILISER, LATHE_STABILISER, {s.rows, s.HK});
  if (op_ == "decode" && bytes_.either())
    lay_out(*add(LATHE_SNAPSHOTS, kFloat32, {s.B, s.T, s.state_heads(), s.K, s.V}, Argument::kWritten));
  if (decay_) add(LATHE_DECAY, kFloat32, {s.state_heads()});
  if (sizes_of_steps_) add(LATHE_STEP_SIZE, kFloat32, {s.state_heads()});
  if (keyed_)
    lay_out(*add(LATHE_GATE, kFloat, {s.B, s.T, s.state_heads(), s.K}));
  else if (gate_)
    lay_out(*add(LATHE_GATE, kFloat, {s.B, s.T, s.state_heads()}));
  if (steps_) {
    lay_out(*add(LATHE_DT, kFloat, {s.B, s.T, s.state_heads()}));
    if (bytes_.either()) add(LATHE_DT_BIAS, kFloat32, {s.state_heads()});
    if (bytes_.either()) add(LATHE_SKIP, kFloat32, {s.state_heads()});
    if (bytes_.either()) lay_out(*add(LATHE_OUT_GATE, kFloat, {s.B, s.T, s.out_heads(), s.V}));
  }
  if (beta_) lay_out(*add(LATHE_BETA, kFloat, {s.B, s.T, s.state_heads()}));
  if (rows_)
    for (const uint32_t role : {LATHE_A, LATHE_B}) lay_out(*add(role, kFloat, {s.B, s.T, s.state_heads(), s.K}));
  if (bonus_) lay_out(*add(LATHE_BONUS, kFloat32, {s.state_heads(), s.K}));
  if (s.M > 0 && s.HQ == s.HK && op_ != "readout" && bytes_.either())
    lay_out(*add(LATHE_PROJECTION, kFloat32, {s.HQ, s.M, s.D}));
  else if (s.M > 0)
    lay_out(*add(LATHE_PROJECTION, kFloat32, {s.M, s.D}));
  if (backward_) add_gradients();
  if (!lengths_.empty()) add(LATHE_LENGTHS, kInteger, {s.B});
  if (!cu_seqlens_.empty()) add(LATHE_CU_SEQLENS, kInteger, {s.N + 1});
  if (!slots_.empty()) add(LATHE_SLOTS, kInteger, {s.N});
  if (!positions_.empty()) add(LATHE_POSITION, kInteger, {s.N});
}

// Some of those that go out, and of states and normalisers those that come in.
void DrawnCall::add_gradients() {
  const Sizes& s = sizes_;
  const std::vector<int64_t> state = {s.rows, s.state_heads(), s.K, s.V}, z = {s.rows, s.HK, s.K};
  const auto some = [&](uint32_t role, Type type, const std::vector<int64_t>& shape, Argument::Use use) {
    if (bytes_.either()) lay_out(*add(LATHE_GRAD | role, type, shape, use));
  };
  std::vector<std::pair<uint32_t, std::vector<int64_t>>> inputs;
  for (const Argument& a : arguments_) inputs.emplace_back(a.role, a.shape);
  for (const auto& [role, shape] : inputs) switch (role) {
      case LATHE_Q:
      case LATHE_K:
      case LATHE_V:
      case LATHE_GATE:
      case LATHE_DT:
      case LATHE_BETA:
      case LATHE_OUT_GATE:
        some(role, kFloat, shape, Argument::kWritten);
        break;
      case LATHE_DECAY:
        if (sizes_of_steps_) break;  // has no gradient then
        [[fallthrough]];
      case LATHE_BONUS:
      case LATHE_DT_BIAS:
      case LATHE_SKIP:
      case LATHE_PROJECTION:
      case LATHE_MIXTURE:
        some(role, kFloat32, shape, Argument::kWritten);
    }
  some(LATHE_STATE_IN, kFloat32, state, Argument::kWritten);
  some(LATHE_STATE_OUT, kFloat32, state, Argument::kRead);
  if (moves_) {
    some(LATHE_MOMENTUM_IN, kFloat32, state, Argument::kWritten);
    some(LATHE_MOMENTUM_OUT, kFloat32, state, Argument::kRead);
  }
  if (!normalise_) return;
  some(LATHE_Z_IN, kFloat32, z, Argument::kWritten);
  some(LATHE_Z_OUT, kFloat32, z, Argument::kRead);
}

std::vector<lathe_arg> DrawnCall::list() const {
  std::vector<lathe_arg> args;
  for (const Argument& a : arguments_) args.push_back({a.role, &a.view});
  return args;
}

std::vector<lathe_arg> DrawnCall::open_list() {
  std::vector<lathe_arg> args;
  for (const Argument& a : arguments_) {
    Argument& open = open_.emplace_back(Argument{a.role, a.use, a.shape, {}, a.view, {}, {}});
    const uint32_t of = a.role & ~uint32_t{LATHE_GRAD};
    const bool of_tokens = of <= LATHE_O || of == LATHE_SNAPSHOTS || of == LATHE_GATE;
    const bool of_sequences = (of >= LATHE_STATE_IN && of <= LATHE_POSITION) || of == LATHE_MOMENTUM_IN ||
                              of == LATHE_MOMENTUM_OUT || of == LATHE_LAST_TOKEN_IN || of == LATHE_LAST_TOKEN_OUT;
    if (!open.shape.empty() && (of_tokens || of_sequences)) open.shape[0] = -1;
    if (open.shape.size() > 1 && of_tokens) open.shape[1] = -1;
    open.view.data = nullptr;
    open.view.shape = open.shape.data();
    open.view.strides = nullptr;
    args.push_back({a.role, &open.view});
  }
  return args;
}

}  // namespace fuzz
