#include "problem.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "footprint.h"
#include "status.h"

namespace lathe {

namespace {

// Written out only where a message is made: a decode takes hardly longer than a text.
Numbers extents(const Tensor& t) { return {{t.shape.data(), static_cast<size_t>(t.rank)}}; }
Numbers strides(const Tensor& t) { return {{t.stride.data(), static_cast<size_t>(t.rank)}}; }

Storage storage_of(const RoleRule& rule, const lathe_tensor& t) {
  const auto is = [&](int code, int bits) { return t.code == code && t.bits == bits && t.lanes == 1; };
  if (rule.kind == RoleRule::kInteger) {
    if (is(0, 32)) return Storage::kI32;
    if (is(0, 64)) return Storage::kI64;
  } else {
    if (is(2, 32)) return Storage::kF32;
    if (rule.kind == RoleRule::kFloat && is(2, 16)) return Storage::kF16;
    if (rule.kind == RoleRule::kFloat && is(4, 16)) return Storage::kBF16;
  }
  constexpr const char* expected[] = {"float32, float16 or bfloat16", "float32", "int32 or int64"};
  fail(LATHE_INVALID, "{}: expected {}, got type code {} with {} bits and {} lanes", rule.name, expected[rule.kind],
       t.code, t.bits, t.lanes);
}

// Far beyond any tensor, and small enough that sums and products of a few of them do not overflow.
constexpr int64_t kMostExtent = int64_t{1} << 40, kMostStride = int64_t{1} << 48;

void bind_extents(const RoleRule& rule, const lathe_tensor& t, bool planning, Tensor& tensor) {
  require(t.ndim >= rule.min_rank && t.ndim <= rule.max_rank, "{}: expected {}, got {} dimensions", rule.name,
          rule.shape, t.ndim);
  require(t.shape != nullptr, "{}: expected {}, got a null shape", rule.name, rule.shape);
  tensor.rank = t.ndim;
  for (int d = 0; d < t.ndim; d++) {
    tensor.shape[d] = t.shape[d];
    const bool open = planning && d < rule.free && t.shape[d] == kFree;
    require(open || (t.shape[d] >= 0 && t.shape[d] <= kMostExtent),
            "{}: extent of dimension {}: expected 0 to {}, got {}", rule.name, d, kMostExtent, t.shape[d]);
  }
}

void bind_strides(const RoleRule& rule, const lathe_tensor& t, Tensor& tensor) {
  const int first_dense = t.ndim - rule.contiguous;
  int64_t compact = 1;
  for (int d = t.ndim - 1; d >= 0; d--) {
    const int64_t extent = tensor.shape[d];
    int64_t& stride = tensor.stride[d] = t.strides ? t.strides[d] : compact;
    if (d >= first_dense) {
      require(extent <= 1 || tensor.empty() || stride == compact,
              "{}: stride of dimension {}: expected {} (the innermost {} dense), got {}", rule.name, d, compact,
              rule.contiguous == 1 ? "dimension is" : "two dimensions are", stride);
      stride = compact;
    }
    // a stride along one element is never taken, nor is one that a plan leaves open: both may be anything
    require(extent <= 1 || std::clamp(stride, -kMostStride, kMostStride) == stride,
            "{}: stride of dimension {}: expected {} to {}, got {}", rule.name, d, -kMostStride, kMostStride, stride);
    stride = std::clamp(stride, -kMostStride, kMostStride);
    if ((t.strides && d <= first_dense) || extent <= 1) continue;
    require(!__builtin_mul_overflow(compact, extent, &compact), "{}: expected extents that memory can hold, got [{}]",
            rule.name, extents(tensor));
  }
}

// Of a device: a handle and an offset, which kernels count from in 32 bits.
void bind_memory(const RoleRule& rule, const lathe_tensor& t, Tensor& tensor) {
  const auto size = static_cast<uint64_t>(size_of(tensor.storage));
  require(t.data != nullptr || tensor.empty(), "{}: expected the handle of a device's memory, got null", rule.name);
  require(t.byte_offset % size == 0, "{}: expected a byte_offset in multiples of its elements' {} bytes, got {}",
          rule.name, size, t.byte_offset);
  constexpr int64_t most = int64_t{1} << 31;
  int64_t first = static_cast<int64_t>(std::min<uint64_t>(t.byte_offset / size, most)), last = first;
  for (int d = 0; d < tensor.rank && !tensor.empty(); d++) {
    int64_t reach;
    if (__builtin_mul_overflow(tensor.stride[d], tensor.shape[d] - 1, &reach) || std::abs(reach) > most) reach = most;
    (reach < 0 ? first : last) += reach;
  }
  if (first < 0 || last >= most)
    fail(LATHE_UNSUPPORTED,
         "{}: expected elements 0 to 2^31 of a device's memory, got extents [{}] with strides [{}] and byte_offset {}",
         rule.name, extents(tensor), strides(tensor), t.byte_offset);
  tensor.memory = t.data;
  tensor.data = reinterpret_cast<char*>(t.byte_offset);
}

// Integers are the host's; all others lie together.
void bind_device(const RoleRule& rule, const lathe_tensor& t, const char*& of, int32_t& device) {
  if (rule.kind == RoleRule::kInteger)
    return require(t.device_type == kCpu, "{}: expected CPU memory (device type {}), got device type {}", rule.name,
                   kCpu, t.device_type);
  require(t.device_type == kCpu || t.device_type == kCuda || t.device_type == kOpenCl,
          "{}: expected CPU memory (device type {}), CUDA's ({}) or OpenCL's ({}), got device type {}", rule.name, kCpu,
          kCuda, kOpenCl, t.device_type);
  require(!of || device == t.device_type, "{}: expected device type {} as of {}, got {}", rule.name, device, of,
          t.device_type);
  of = rule.name;
  device = t.device_type;
}

Tensor bind_one(const RoleRule& rule, const lathe_tensor& t, bool planning) {
  Tensor tensor;
  tensor.storage = storage_of(rule, t);
  bind_extents(rule, t, planning, tensor);
  bind_strides(rule, t, tensor);
  if (!planning && t.device_type != kCpu) {
    bind_memory(rule, t, tensor);
    return tensor;
  }
  if (!planning) {
    const auto address = reinterpret_cast<uintptr_t>(t.data);
    require(address != 0 || tensor.empty(), "{}: expected data, got null", rule.name);
    require(t.byte_offset <= UINTPTR_MAX - address, "{}: expected data inside memory, got {} with byte_offset {}",
            rule.name, place(t.data), t.byte_offset);
    tensor.data = static_cast<char*>(t.data) + t.byte_offset;
    require(reinterpret_cast<uintptr_t>(tensor.data) % static_cast<uintptr_t>(size_of(tensor.storage)) == 0,
            "{}: expected data aligned to its elements of {} bytes, got {}", rule.name, size_of(tensor.storage),
            place(tensor.data));
  }
  require(addressable(tensor), "{}: expected elements inside memory, got extents [{}] with strides [{}] at {}",
          rule.name, extents(tensor), strides(tensor), place(tensor.data));
  return tensor;
}

// Two tensors must agree on an extent; a free one takes the other's.
void agree(int64_t& extent, int64_t came, const char* what, const char* tensor) {
  if (came == kFree) return;
  if (extent == kFree) extent = came;
  require(extent == came, "{}: expected {} {} as in the other arguments, got {}", tensor, extent, what, came);
}

void expect(const Problem& p, uint32_t role, std::initializer_list<int64_t> shape) {
  const Tensor& t = p[role];
  if (!t.present()) return;
  const auto differs = [](int64_t wanted, int64_t came) { return wanted != came && wanted != kFree && came != kFree; };
  if (std::equal(shape.begin(), shape.end(), t.shape.begin(), std::not_fn(differs))) return;
  const RoleRule& rule = *find_role(role);
  std::string expected;
  for (int64_t extent : shape)
    expected += written("{}{}", expected.empty() ? "" : ",", extent == kFree ? "any" : std::to_string(extent));
  fail(LATHE_INVALID, "{}: expected {} = [{}], got [{}]", rule.name, rule.shape, expected, extents(t));
}

void size_heads(const Problem& p, Sizes& s) {
  constexpr int64_t most = 65536;
  const Tensor &q = p[LATHE_Q], &k = p[LATHE_K], &v = p[LATHE_V], &state = p[LATHE_STATE_IN], &z = p[LATHE_Z_IN];
  // a readout sees no keys: their heads are those of z, or any that both sides are made of
  const char* keys = k.present() ? "K" : z.present() ? "Z_IN" : "STATE_IN";
  const char* values = v.present() ? "V" : "STATE_IN";
  s.HK = k.present() ? k.shape[2] : z.present() ? z.shape[1] : std::gcd(q.shape[2], state.shape[1]);
  s.HV = v.present() ? v.shape[2] : state.shape[1];
  s.HQ = q.present() ? q.shape[2] : s.HK;
  for (auto [name, heads] : {std::pair{"Q", s.HQ}, {keys, s.HK}, {values, s.HV}})
    require(heads >= 1 && heads <= most, "{}: expected 1 to {} heads, got {}", name, most, heads);
  for (auto [name, heads] : {std::pair{"Q", s.HQ}, {values, s.HV}})
    require(heads % s.HK == 0, "{}: expected heads in multiples of {}'s {}, got {}", name, keys, s.HK, heads);
  const int64_t wide = std::max(s.HQ, s.HV);
  require(wide % s.HQ == 0 && wide % s.HV == 0, "Q: expected a multiple or a divisor of {}'s {} heads, got {}", values,
          s.HV, s.HQ);
}

void size_widths(const Meaning& meaning, const Problem& p, Sizes& s) {
  const Tensor &q = p[LATHE_Q], &k = p[LATHE_K], &projection = p[LATHE_PROJECTION];
  const int64_t of_keys = k.present() ? k.shape[k.rank - 1] : 0;
  s.D = q.present() ? q.shape[3] : of_keys;
  if (k.present()) require(of_keys == s.D, "K: expected the head width {} of Q, got {}", s.D, of_keys);
  const bool values = p[LATHE_V].present();
  s.V = values ? p[LATHE_V].shape[3] : p[LATHE_STATE_IN].shape[3];
  require(s.D >= 1 && s.D <= 1024, "{}: expected a head width of 1 to 1024, got {}", q.present() ? "Q" : "K", s.D);
  require(s.V >= 1 && s.V <= 1024, "{}: expected a width of 1 to 1024, got {}", values ? "V" : "STATE_IN", s.V);
  const bool projects = meaning.map->projects();
  require(projects == projection.present(), "PROJECTION: expected {} for the map {}, got {}", projects ? "one" : "none",
          meaning.map->name, projects ? "none" : "one");
  if (projects) {
    const int r = projection.rank;
    s.M = projection.shape[r - 2];
    require(projection.shape[r - 1] == s.D && s.M >= 1, "PROJECTION: expected [M,{}], got [{}]", s.D,
            extents(projection));
    if (r == 3)
      require(projection.shape[0] == s.HQ && s.HQ == s.HK,
              "PROJECTION: expected [{},M,{}] (a projection for each head needs as many heads in Q and K), got [{}]",
              s.HQ, s.D, extents(projection));
  }
  s.K = meaning.map->width(s.D, s.M, meaning.attribute);
  require(s.K >= 1 && s.K <= 4096, "{}: expected the map {} to make 1 to 4096 features, got {} of {}",
          projects      ? "PROJECTION"
          : q.present() ? "Q"
                        : "K",
          meaning.map->name, s.K, projects ? s.M : s.D);
}

void size_tokens(const Problem& p, Op op, Sizes& s) {
  for (auto [role, name] : {std::pair<uint32_t, const char*>{LATHE_Q, "Q"},
                            {LATHE_K, "K"},
                            {LATHE_V, "V"},
                            {LATHE_O, "O"},
                            {gradient_of(LATHE_O), "GRAD_O"}})
    if (p[role].present()) agree(s.B, p[role].shape[0], "batch", name);
  const bool apart = op == Op::kNoncausal || op == Op::kNoncausalBackward;
  int64_t& keys = apart ? s.Tk : s.Tq;
  if (p[LATHE_Q].present()) agree(s.Tq, p[LATHE_Q].shape[1], "tokens", "Q");
  if (p[LATHE_O].present()) agree(s.Tq, p[LATHE_O].shape[1], "tokens", "O");
  if (const Tensor& o = p[gradient_of(LATHE_O)]; o.present()) agree(s.Tq, o.shape[1], "tokens", "GRAD_O");
  if (p[LATHE_K].present()) agree(keys, p[LATHE_K].shape[1], "tokens", "K");
  if (p[LATHE_V].present()) agree(keys, p[LATHE_V].shape[1], "tokens", "V");
  if (!apart) s.Tk = s.Tq;
  s.N = s.B;
  if (const Tensor& c = p[LATHE_CU_SEQLENS]; c.present()) {
    require(!p[LATHE_LENGTHS].present(), "LENGTHS and CU_SEQLENS: expected one of them, got both");
    require(s.B == 1 || s.B == kFree, "CU_SEQLENS: expected batch 1 for packed sequences, got {}", s.B);
    require(c.shape[0] != 0, "CU_SEQLENS: expected an entry more than there are sequences, got 0");
    require(!apart || s.Tq == s.Tk,
            "CU_SEQLENS: expected as many tokens in Q as in K, which are packed alike, got {} and {}", s.Tq, s.Tk);
    s.N = c.shape[0] == kFree ? kFree : c.shape[0] - 1;
  }
  s.states = p[LATHE_SLOTS].present() ? kFree : s.N;
  for (uint32_t role : {uint32_t{LATHE_STATE_IN}, uint32_t{LATHE_STATE_OUT}, uint32_t{LATHE_Z_IN},
                        uint32_t{LATHE_Z_OUT}, uint32_t{LATHE_STABILISER}, uint32_t{LATHE_MOMENTUM_IN},
                        uint32_t{LATHE_MOMENTUM_OUT}, uint32_t{LATHE_LAST_TOKEN_IN}, uint32_t{LATHE_LAST_TOKEN_OUT},
                        gradient_of(LATHE_STATE_IN), gradient_of(LATHE_STATE_OUT), gradient_of(LATHE_Z_IN),
                        gradient_of(LATHE_Z_OUT), gradient_of(LATHE_MOMENTUM_IN), gradient_of(LATHE_MOMENTUM_OUT)})
    if (p[role].present())
      agree(s.states, p[role].shape[0], p[LATHE_SLOTS].present() ? "slots" : "sequences", find_role(role)->name);
}

// A mixture says how many keys each token has.
void size_mixture(const Meaning& meaning, const Problem& p, Sizes& s) {
  const Tensor& mixture = p[LATHE_MIXTURE];
  require(mixture.present() || !meaning.mixes_first() || !meaning.op->takes(LATHE_MIXTURE),
          "MIXTURE: expected one beside the flag MIX_FIRST, got none");
  if (mixture.present()) s.keys = mixture.shape[1];
  constexpr int64_t most = 64;
  require(s.keys >= 1 && s.keys <= most, "MIXTURE: expected 1 to {} keys, got {}", most, s.keys);
  require(mixture.present() || p[LATHE_K].rank < 5, "MIXTURE: expected one beside a K of 5 dimensions, got none");
  const int rank = mixture.present() ? 5 : 4;
  for (uint32_t role : {uint32_t{LATHE_K}, gradient_of(LATHE_K)})
    require(!p[role].present() || p[role].rank == rank, "{}: expected {} dimensions {} MIXTURE, got {}",
            find_role(role)->name, rank, mixture.present() ? "beside" : "without", p[role].rank);
  for (uint32_t role : {uint32_t{LATHE_MIXTURE}, gradient_of(LATHE_MIXTURE)}) expect(p, role, {s.HK, s.keys});
  if (mixture.present()) expect(p, LATHE_K, {s.B, s.Tk, s.HK, s.keys, s.D});
}

// What some variant brings, this one needs or does not take.
void check_inputs(const Problem& p, const Variant& variant) {
  uint64_t of_variants = 0;
  for (const Variant& v : variants()) of_variants |= v.inputs | v.options();
  for (uint32_t role = 0; role < kRoles; role++) {
    if (!(of_variants >> role & 1) || variant.options() >> role & 1) continue;
    const bool needed = variant.inputs >> role & 1;
    require(needed == p[role].present(), "{}: expected {} for the variant {}, got {}", find_role(role)->name,
            needed ? "one" : "none", variant.name, needed ? "none" : "one");
  }
}

// Of GATE, or of its gradient.
void check_gate_shape(const Problem& p, uint32_t role, const Variant& variant) {
  const Tensor& gate = p[role];
  const Sizes& s = p.sizes;
  if (!gate.present()) return;
  const int rank = variant.keyed() ? 4 : 3;
  const char* name = find_role(role)->name;
  require(gate.rank == rank, "{}: expected {} dimensions for the variant {}, got {}", name, rank, variant.name,
          gate.rank);
  if (!variant.keyed()) return expect(p, role, {s.B, s.Tq, s.state_heads()});
  expect(p, role, {s.B, s.Tq, s.state_heads(), s.K});
  require(s.K == 1 || gate.stride[3] == 1,
          "{}: stride of dimension 3: expected 1 (the innermost dimension is dense), got {}", name, gate.stride[3]);
}

// There is no gradient of what is not an argument, unless it counts as zero.
void check_gradients(const Problem& p, const Meaning& meaning) {
  for (uint32_t role : {LATHE_PROJECTION, LATHE_GATE, LATHE_DECAY, LATHE_BETA, LATHE_BONUS, LATHE_DT, LATHE_DT_BIAS,
                        LATHE_SKIP, LATHE_OUT_GATE, LATHE_MIXTURE})
    require(!p[gradient_of(role)].present() || p[role].present(), "{}: expected none without {}, got one",
            find_role(gradient_of(role))->name, find_role(role)->name);
  for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT})
    require(!p[gradient_of(role)].present() || meaning.normalise(),
            "{}: expected none without the flag NORMALISE, got one", find_role(gradient_of(role))->name);
  for (uint32_t role : {LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT})
    require(!p[gradient_of(role)].present() || meaning.variant->moves(),
            "{}: expected none, since the variant {} has no momentum, got one", find_role(gradient_of(role))->name,
            meaning.variant->name);
  if (meaning.variant->brings_step_size() && p[gradient_of(LATHE_DECAY)].present())
    fail(LATHE_UNSUPPORTED, "GRAD_DECAY: expected none, since the variant {} has no gradient of it, got one",
         meaning.variant->name);
  const Tensor& projection = p[LATHE_PROJECTION];
  const Tensor& gradient = p[gradient_of(LATHE_PROJECTION)];
  require(!gradient.present() || (gradient.rank == projection.rank && gradient.shape == projection.shape),
          "GRAD_PROJECTION: expected PROJECTION's [{}], got [{}]", extents(projection), extents(gradient));
}

void check_shapes(const Problem& p, const Meaning& meaning) {
  const Sizes& s = p.sizes;
  expect(p, LATHE_O, {s.B, s.Tq, s.out_heads(), s.V});
  for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT, LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT})
    for (uint32_t each : {uint32_t{role}, gradient_of(role)}) expect(p, each, {s.states, s.state_heads(), s.K, s.V});
  for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) expect(p, role, {s.states, s.HK, s.K});
  for (uint32_t role : {LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT})
    expect(p, role, {s.states, s.state_heads(), s.K + s.V});
  expect(p, LATHE_SNAPSHOTS, {s.B, s.Tq, s.state_heads(), s.K, s.V});
  expect(p, LATHE_LENGTHS, {s.B});
  expect(p, LATHE_SLOTS, {s.N});
  expect(p, LATHE_POSITION, {s.N});
  for (uint32_t role : {uint32_t{LATHE_GATE}, gradient_of(LATHE_GATE)}) check_gate_shape(p, role, *meaning.variant);
  for (uint32_t role : {uint32_t{LATHE_BONUS}, gradient_of(LATHE_BONUS)}) expect(p, role, {s.state_heads(), s.K});
  for (uint32_t role : {LATHE_A, LATHE_B}) expect(p, role, {s.B, s.Tq, s.state_heads(), s.K});
  for (uint32_t role : {LATHE_BETA, LATHE_DT})
    for (uint32_t each : {uint32_t{role}, gradient_of(role)}) expect(p, each, {s.B, s.Tq, s.state_heads()});
  for (uint32_t role : {LATHE_DECAY, LATHE_DT_BIAS, LATHE_SKIP, LATHE_STEP_SIZE})
    for (uint32_t each : {uint32_t{role}, gradient_of(role)}) expect(p, each, {s.state_heads()});
  for (uint32_t role : {uint32_t{LATHE_OUT_GATE}, gradient_of(LATHE_OUT_GATE)})
    expect(p, role, {s.B, s.Tq, s.out_heads(), s.V});
  expect(p, LATHE_STABILISER, {s.states, s.HK});
  expect(p, gradient_of(LATHE_Q), {s.B, s.Tq, s.HQ, s.D});
  if (p.mixes())
    expect(p, gradient_of(LATHE_K), {s.B, s.Tk, s.HK, s.keys, s.D});
  else
    expect(p, gradient_of(LATHE_K), {s.B, s.Tk, s.HK, s.D});
  expect(p, gradient_of(LATHE_V), {s.B, s.Tk, s.HV, s.V});
  expect(p, gradient_of(LATHE_O), {s.B, s.Tq, s.out_heads(), s.V});
  for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) expect(p, gradient_of(role), {s.states, s.HK, s.K});
  check_gradients(p, meaning);
  const bool keeps_state = p[LATHE_STATE_IN].present() || p[LATHE_STATE_OUT].present(),
             stabiliser = p[LATHE_STABILISER].present();
  require(!p.mixes() || !meaning.stabilise(), "MIXTURE: expected none beside the flag STABILISE, got one");
  require(!stabiliser || meaning.stabilise(), "STABILISER: expected none without the flag STABILISE, got one");
  require(stabiliser || !meaning.stabilise() || !keeps_state || !meaning.op->takes(LATHE_STABILISER),
          "STABILISER: expected one beside a stabilised state, got none");
  check_inputs(p, *meaning.variant);
  const auto together = [&](uint32_t role, uint32_t state, const char* call) {
    require(p[state].present() == p[role].present(), "{}: expected it and {} together in {} calls, got none of {}",
            find_role(role)->name, find_role(state)->name, call, find_role(p[state].present() ? role : state)->name);
  };
  if (meaning.variant->moves()) {
    together(LATHE_MOMENTUM_IN, LATHE_STATE_IN, meaning.variant->name);
    together(LATHE_MOMENTUM_OUT, LATHE_STATE_OUT, meaning.variant->name);
  }
  if (meaning.variant->adapts()) {
    together(LATHE_LAST_TOKEN_IN, LATHE_MOMENTUM_IN, meaning.variant->name);
    together(LATHE_LAST_TOKEN_OUT, LATHE_MOMENTUM_OUT, meaning.variant->name);
  }
  if (meaning.normalise()) {
    require(!meaning.variant->decays() || s.HV == s.HK,
            "V: expected K's {} heads, since a normaliser cannot follow several decays, got {}", s.HK, s.HV);
    together(LATHE_Z_IN, LATHE_STATE_IN, "normalised");
    if (meaning.op->op != Op::kReadout) together(LATHE_Z_OUT, LATHE_STATE_OUT, "normalised");
  }
}

}  // namespace

void log_decays(const Meaning& meaning, const Problem& p, int64_t b, int64_t t, int64_t n, int64_t head, float* out,
                const float* dt) {
  constexpr float none = 0;
  const Strided absent{reinterpret_cast<const char*>(&none), 0, Storage::kF32};
  Gates gates{absent, absent, head, p.sizes.state_heads()};
  if (meaning.variant->steps()) gates.dt = {reinterpret_cast<const char*>(dt), 1, Storage::kF32};
  if (const Tensor& decay = p[LATHE_DECAY]; decay.present()) gates.g.data = decay.at(head);
  if (const Tensor& gate = p[LATHE_GATE]; gate.present()) gates.g = {gate.at(b, t, head), gate.stride[1], gate.storage};
  meaning.variant->log_decays(gates, n, out);
  if (meaning.clamps())
    for (int64_t i = 0; i < n; i++) out[i] = std::min(out[i], 0.f);
}

Problem bind(const Meaning& meaning, const lathe_arg* args, size_t n_args, bool planning) {
  require(args != nullptr || n_args == 0, "args: expected {}, got null", n_args);
  Problem p;
  uint64_t came = 0;
  const char* placed = nullptr;
  for (size_t i = 0; i < n_args; i++) {
    const RoleRule* rule = find_role(numbered(args[i].role));
    require(rule != nullptr, "args[{}]: expected a role of this version, got the unknown {}", i, args[i].role);
    if (!args[i].tensor) continue;
    require(meaning.op->takes(rule->role), "{}: expected none, since the operator {} does not take it, got one",
            rule->name, meaning.op->name);
    require(!(came >> rule->role & 1), "{}: expected once, got twice", rule->name);
    came |= uint64_t{1} << rule->role;
    bind_device(*rule, *args[i].tensor, placed, p.device);
    p.tensors[rule->role] = bind_one(*rule, *args[i].tensor, planning);
  }
  for (uint32_t role = 0; role < kRoles; role++)
    if ((meaning.op->required & ~came) >> role & 1)
      fail(LATHE_INVALID, "{}: expected one, since the operator {} needs it, got none", find_role(role)->name,
           meaning.op->name);
  size_heads(p, p.sizes);
  size_widths(meaning, p, p.sizes);
  size_tokens(p, meaning.op->op, p.sizes);
  size_mixture(meaning, p, p.sizes);
  check_shapes(p, meaning);
  for (uint32_t role : {uint32_t{LATHE_K}, gradient_of(LATHE_K)})
    if (Tensor& k = p.tensors[role]; k.rank == 5)
      std::swap(k.shape[3], k.shape[4]), std::swap(k.stride[3], k.stride[4]);
  return p;
}

}  // namespace lathe
