#include "problem.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "status.h"

namespace lathe {

namespace {

std::string extents(const Tensor& t) {
  std::string text = "[";
  for (int d = 0; d < t.rank; d++) text += fmt::format("{}{}", d ? "," : "", t.shape[d]);
  return text + "]";
}

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

Tensor bind_one(const RoleRule& rule, const lathe_tensor& t, bool planning) {
  require(t.device_type == 1, "{}: expected CPU memory (device type 1), got device type {}", rule.name, t.device_type);
  Tensor tensor;
  tensor.storage = storage_of(rule, t);
  require(t.ndim >= rule.min_rank && t.ndim <= rule.max_rank, "{}: expected {}, got {} dimensions", rule.name,
          rule.shape, t.ndim);
  require(t.shape != nullptr, "{}: shape is null", rule.name);
  tensor.rank = t.ndim;
  int64_t compact = 1;
  bool empty = false;
  for (int d = t.ndim - 1; d >= 0; d--) {
    tensor.shape[d] = t.shape[d];
    require(t.shape[d] >= 0 || (planning && t.shape[d] == kFree), "{}: extent {} of dimension {} is negative",
            rule.name, t.shape[d], d);
    require(t.shape[d] <= (int64_t{1} << 48), "{}: extent {} of dimension {} is absurd", rule.name, t.shape[d], d);
    tensor.stride[d] = t.strides ? t.strides[d] : compact;
    empty = empty || t.shape[d] == 0;
    if (t.shape[d] > 0) compact *= t.shape[d];
  }
  int64_t dense = 1;
  for (int d = t.ndim - 1; d >= t.ndim - rule.contiguous; d--) {
    if (tensor.shape[d] > 1)
      require(tensor.stride[d] == dense, "{}: stride {} of dimension {}: expected {}, the innermost {} must be dense",
              rule.name, tensor.stride[d], d, dense, rule.contiguous == 1 ? "dimension" : "two dimensions");
    tensor.stride[d] = dense;
    dense *= tensor.shape[d];
  }
  if (planning) return tensor;
  require(t.data != nullptr || empty, "{}: data is null", rule.name);
  tensor.data = static_cast<char*>(t.data) + t.byte_offset;
  require(reinterpret_cast<uintptr_t>(tensor.data) % static_cast<uintptr_t>(size_of(tensor.storage)) == 0,
          "{}: data at {} is not aligned to its {} byte elements", rule.name, fmt::ptr(tensor.data),
          size_of(tensor.storage));
  return tensor;
}

// Two tensors must agree on an extent; a free one takes the other's.
void agree(int64_t& extent, int64_t came, const char* what, const char* tensor) {
  if (came == kFree) return;
  if (extent == kFree) extent = came;
  require(extent == came, "{}: {} is {}, but another argument has {}", tensor, what, came, extent);
}

void expect(const Problem& p, uint32_t role, std::initializer_list<int64_t> shape) {
  const Tensor& t = p[role];
  if (!t.present()) return;
  std::string expected;
  bool same = true;
  int d = 0;
  for (int64_t extent : shape) {
    same = same && (extent == t.shape[d] || extent == kFree || t.shape[d] == kFree);
    expected += fmt::format("{}{}", d ? "," : "", extent == kFree ? std::string("any") : std::to_string(extent));
    d++;
  }
  const RoleRule& rule = *find_role(role);
  require(same, "{}: expected {} = [{}], got {}", rule.name, rule.shape, expected, extents(t));
}

void size_heads(const Problem& p, Sizes& s) {
  const Tensor &q = p[LATHE_Q], &k = p[LATHE_K], &v = p[LATHE_V], &state = p[LATHE_STATE_IN], &z = p[LATHE_Z_IN];
  // a readout sees no keys: their heads are those of z, or any that both sides are made of
  s.HK = k.present() ? k.shape[2] : z.present() ? z.shape[1] : std::gcd(q.shape[2], state.shape[1]);
  s.HV = v.present() ? v.shape[2] : state.shape[1];
  s.HQ = q.present() ? q.shape[2] : s.HK;
  for (auto [name, heads] : {std::pair{"Q", s.HQ}, {"K", s.HK}, {"V", s.HV}})
    require(heads >= 1, "{}: expected at least one head, got {}", name, heads);
  require(s.HQ % s.HK == 0, "Q: {} heads are not a multiple of K's {}", s.HQ, s.HK);
  require(s.HV % s.HK == 0, "V: {} heads are not a multiple of K's {}", s.HV, s.HK);
  const int64_t wide = std::max(s.HQ, s.HV);
  require(wide % s.HQ == 0 && wide % s.HV == 0, "Q: {} heads and V's {}: one must be a multiple of the other", s.HQ,
          s.HV);
}

void size_widths(const Meaning& meaning, const Problem& p, Sizes& s) {
  const Tensor &q = p[LATHE_Q], &k = p[LATHE_K], &projection = p[LATHE_PROJECTION];
  s.D = q.present() ? q.shape[3] : k.shape[3];
  if (k.present()) require(k.shape[3] == s.D, "K: head width {}, but Q has {}", k.shape[3], s.D);
  s.V = p[LATHE_V].present() ? p[LATHE_V].shape[3] : p[LATHE_STATE_IN].shape[3];
  require(s.D >= 1 && s.D <= 1024, "{}: head width {}: expected 1 to 1024", q.present() ? "Q" : "K", s.D);
  require(s.V >= 1 && s.V <= 1024, "V: width {}: expected 1 to 1024", s.V);
  const bool projects = meaning.map->projects();
  require(projects == projection.present(), "PROJECTION: the map {} {}", meaning.map->name,
          projects ? "needs one, none came" : "takes none, one came");
  if (projects) {
    const int r = projection.rank;
    s.M = projection.shape[r - 2];
    require(projection.shape[r - 1] == s.D && s.M >= 1, "PROJECTION: expected [M,{}], got {}", s.D,
            extents(projection));
    if (r == 3)
      require(projection.shape[0] == s.HQ && s.HQ == s.HK,
              "PROJECTION: expected [{},M,{}] (a projection for each head needs as many heads in Q and K), got {}",
              s.HQ, s.D, extents(projection));
  }
  s.K = meaning.map->width(s.D, s.M, meaning.attribute);
  require(s.K >= 1 && s.K <= 4096, "the map {} makes {} keys of head width {}: expected 1 to 4096", meaning.map->name,
          s.K, s.D);
}

void size_tokens(const Problem& p, Op op, Sizes& s) {
  for (auto [role, name] :
       {std::pair<uint32_t, const char*>{LATHE_Q, "Q"}, {LATHE_K, "K"}, {LATHE_V, "V"}, {LATHE_O, "O"}})
    if (p[role].present()) agree(s.B, p[role].shape[0], "batch", name);
  const bool apart = op == Op::kNoncausal;
  int64_t& keys = apart ? s.Tk : s.Tq;
  if (p[LATHE_Q].present()) agree(s.Tq, p[LATHE_Q].shape[1], "tokens", "Q");
  if (p[LATHE_O].present()) agree(s.Tq, p[LATHE_O].shape[1], "tokens", "O");
  if (p[LATHE_K].present()) agree(keys, p[LATHE_K].shape[1], "tokens", "K");
  if (p[LATHE_V].present()) agree(keys, p[LATHE_V].shape[1], "tokens", "V");
  if (!apart) s.Tk = s.Tq;
  s.N = s.B;
  if (const Tensor& c = p[LATHE_CU_SEQLENS]; c.present()) {
    require(!p[LATHE_LENGTHS].present(), "LENGTHS and CU_SEQLENS: expected one of them, got both");
    require(s.B == 1 || s.B == kFree, "CU_SEQLENS: packed sequences need batch 1, got {}", s.B);
    require(c.shape[0] != 0, "CU_SEQLENS: expected N+1 entries, got none");
    require(!apart || s.Tq == s.Tk, "CU_SEQLENS: queries and keys are packed alike, but Q has {} tokens and K {}", s.Tq,
            s.Tk);
    s.N = c.shape[0] == kFree ? kFree : c.shape[0] - 1;
  }
  s.states = p[LATHE_SLOTS].present() ? kFree : s.N;
  for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT, LATHE_Z_IN, LATHE_Z_OUT, LATHE_STABILISER})
    if (p[role].present())
      agree(s.states, p[role].shape[0], p[LATHE_SLOTS].present() ? "slots" : "sequences", find_role(role)->name);
}

void check_shapes(const Problem& p, const Meaning& meaning) {
  const Sizes& s = p.sizes;
  expect(p, LATHE_O, {s.B, s.Tq, s.out_heads(), s.V});
  for (uint32_t role : {LATHE_STATE_IN, LATHE_STATE_OUT}) expect(p, role, {s.states, s.state_heads(), s.K, s.V});
  for (uint32_t role : {LATHE_Z_IN, LATHE_Z_OUT}) expect(p, role, {s.states, s.HK, s.K});
  expect(p, LATHE_SNAPSHOTS, {s.B, s.Tq, s.state_heads(), s.K, s.V});
  expect(p, LATHE_LENGTHS, {s.B});
  expect(p, LATHE_SLOTS, {s.N});
  expect(p, LATHE_POSITION, {s.N});
  expect(p, LATHE_DECAY, {s.state_heads()});
  expect(p, LATHE_STABILISER, {s.states, s.HK});
  const bool keeps_state = p[LATHE_STATE_IN].present() || p[LATHE_STATE_OUT].present(),
             stabiliser = p[LATHE_STABILISER].present();
  require(!stabiliser || meaning.stabilise(), "STABILISER: the call does not stabilise");
  require(stabiliser || !meaning.stabilise() || !keeps_state || !meaning.op->takes(LATHE_STABILISER),
          "STABILISER: a stabilised state comes together with it");
  require(meaning.decay == p[LATHE_DECAY].present(), "DECAY: the variant {}",
          meaning.decay ? "decay needs it" : "plain takes none");
  if (meaning.normalise()) {
    require(!meaning.decay || s.HV == s.HK,
            "V: {} heads over K's {}: a normaliser cannot follow several decays; use as many heads", s.HV, s.HK);
    const bool in = p[LATHE_STATE_IN].present(), out = p[LATHE_STATE_OUT].present();
    require(in == p[LATHE_Z_IN].present(), "Z_IN: a normalised call takes STATE_IN and Z_IN together");
    require(out == p[LATHE_Z_OUT].present() || meaning.op->op == Op::kReadout,
            "Z_OUT: a normalised call takes STATE_OUT and Z_OUT together");
  }
}

bool empty(const Tensor& t) {
  return std::any_of(t.shape.begin(), t.shape.begin() + t.rank, [](int64_t extent) { return extent == 0; });
}

// The dimensions of more than one element, widest stride first, in bytes; `low` is where the tensor begins.
struct Footprint {
  const char* low;
  std::vector<std::pair<int64_t, int64_t>> dims;  // stride, extent
  int64_t element;

  explicit Footprint(const Tensor& t) : low(t.data), element(size_of(t.storage)) {
    for (int d = 0; d < t.rank; d++) {
      if (t.shape[d] <= 1 || t.stride[d] == 0) continue;
      const int64_t stride = t.stride[d] * element;
      if (stride < 0) low += stride * (t.shape[d] - 1);
      dims.emplace_back(std::abs(stride), t.shape[d]);
    }
    std::sort(dims.rbegin(), dims.rend());
  }
  int64_t bytes(size_t from = 0) const {
    int64_t reach = element;
    for (size_t d = from; d < dims.size(); d++) reach += dims[d].first * (dims[d].second - 1);
    return reach;
  }
  bool overlaps_itself() const {
    for (size_t d = 0; d < dims.size(); d++)
      if (dims[d].first < bytes(d + 1)) return true;
    return false;
  }
};

// Ranges apart, or slabs of one pitch that lie side by side (a state and its normaliser in one allocation).
bool apart(const Footprint& a, const Footprint& b) {
  if (a.low + a.bytes() <= b.low || b.low + b.bytes() <= a.low) return true;
  if (a.dims.empty() || b.dims.empty() || a.dims[0].first != b.dims[0].first) return false;
  const int64_t pitch = a.dims[0].first, offset = ((b.low - a.low) % pitch + pitch) % pitch;
  return offset >= a.bytes(1) && offset + b.bytes(1) <= pitch;
}

// The state may be updated in place; nothing else that is written may be anything that is read or written beside it.
bool same_state(const Problem& p, uint32_t a, uint32_t b) {
  const auto pair = [&](uint32_t in, uint32_t out) {
    return ((a == in && b == out) || (a == out && b == in)) && p[in].data == p[out].data &&
           p[in].stride == p[out].stride;
  };
  return pair(LATHE_STATE_IN, LATHE_STATE_OUT) || pair(LATHE_Z_IN, LATHE_Z_OUT);
}

void check_overlap(const Problem& p) {
  for (uint32_t a = 0; a < kRoles; a++) {
    const Tensor& out = p[a];
    if (!out.present() || !find_role(a)->output || empty(out)) continue;
    const Footprint written(out);
    bool repeated = written.overlaps_itself();
    for (int d = 0; d < out.rank; d++) repeated = repeated || (out.shape[d] > 1 && out.stride[d] == 0);
    require(!repeated, "{}: its strides make elements overlap; outputs need memory of their own", find_role(a)->name);
    for (uint32_t b = 0; b < kRoles; b++)
      if (a != b && p[b].present() && !empty(p[b]) && !same_state(p, a, b))
        require(apart(written, Footprint(p[b])), "{} overlaps {}: outputs need memory of their own", find_role(a)->name,
                find_role(b)->name);
  }
}

void check_slots(const Problem& p) {
  const Tensor& slots = p[LATHE_SLOTS];
  const Sizes& s = p.sizes;
  if (!slots.present()) return;
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (int64_t n = 0; n < s.N; n++) {
    require(slots.integer(n) >= 0 && (s.states == kFree || slots.integer(n) < s.states),
            "SLOTS[{}]: {} is outside 0 to {}", n, slots.integer(n), s.states - 1);
    taken.emplace_back(slots.integer(n), n);
  }
  std::sort(taken.begin(), taken.end());
  for (size_t i = 1; i < taken.size(); i++)
    require(taken[i].first != taken[i - 1].first, "SLOTS[{}]: {} is also SLOTS[{}]: two sequences cannot share a state",
            taken[i].second, taken[i].first, taken[i - 1].second);
}

void check_integers(const Problem& p) {
  const Sizes& s = p.sizes;
  if (const Tensor& lengths = p[LATHE_LENGTHS]; lengths.present())
    for (int64_t b = 0; b < s.B; b++)
      require(lengths.integer(b) >= 0 && lengths.integer(b) <= s.Tk, "LENGTHS[{}]: {} is outside 0 to {}", b,
              lengths.integer(b), s.Tk);
  if (const Tensor& c = p[LATHE_CU_SEQLENS]; c.present()) {
    require(c.integer(0) == 0, "CU_SEQLENS[0]: expected 0, got {}", c.integer(0));
    for (int64_t n = 0; n < s.N; n++)
      require(c.integer(n) <= c.integer(n + 1), "CU_SEQLENS[{}]: {} is below the {} before it", n + 1, c.integer(n + 1),
              c.integer(n));
    require(c.integer(s.N) == s.Tk, "CU_SEQLENS[{}]: expected {}, the number of tokens, got {}", s.N, s.Tk,
            c.integer(s.N));
  }
  if (const Tensor& position = p[LATHE_POSITION]; position.present())
    for (int64_t n = 0; n < s.N; n++)
      require(position.integer(n) >= 0 && position.integer(n) < (int64_t{1} << 30),
              "POSITION[{}]: {} is outside 0 to 2^30", n, position.integer(n));
  check_slots(p);
}

}  // namespace

Problem bind(const Meaning& meaning, const lathe_arg* args, size_t n_args, bool planning) {
  require(args != nullptr || n_args == 0, "args is null");
  Problem p;
  uint64_t came = 0;
  for (size_t i = 0; i < n_args; i++) {
    const RoleRule* rule = find_role(args[i].role);
    require(rule != nullptr, "args[{}]: unknown role {}", i, args[i].role);
    if (!args[i].tensor) continue;
    require(meaning.op->takes(rule->role), "{}: the operator {} does not take it", rule->name, meaning.op->name);
    require(!(came >> rule->role & 1), "{}: given twice", rule->name);
    came |= uint64_t{1} << rule->role;
    p.tensors[rule->role] = bind_one(*rule, *args[i].tensor, planning);
  }
  for (uint32_t role = 0; role < kRoles; role++)
    if ((meaning.op->required & ~came) >> role & 1)
      fail(LATHE_INVALID, "{}: the operator {} needs it", find_role(role)->name, meaning.op->name);
  size_heads(p, p.sizes);
  size_widths(meaning, p, p.sizes);
  size_tokens(p, meaning.op->op, p.sizes);
  check_shapes(p, meaning);
  if (planning) return p;
  check_overlap(p);
  check_integers(p);
  if (const Tensor& decay = p[LATHE_DECAY]; decay.present())
    for (int64_t h = 0; h < decay.shape[0]; h++)
      require(*decay.floats(h) <= 0, "DECAY[{}]: {} is the log of a decay and must not be above 0", h,
              *decay.floats(h));
  return p;
}

}  // namespace lathe
