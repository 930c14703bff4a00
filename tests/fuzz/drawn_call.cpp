#include "drawn_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace fuzz {

namespace {

constexpr int64_t kMostBytes = 8 << 20, kMostElements = 1 << 18, kMostKeys = 1000;
// A not a number that no arithmetic gives and no conversion keeps, in float32 as in both halves of it.
constexpr unsigned char kUnwritten[] = {0xa5, 0xff};

nlohmann::json list_of(const char* what) {
  size_t need = 0;
  lathe_list(what, nullptr, 0, &need);
  std::string text(need, '\0');
  lathe_list(what, text.data(), text.size(), &need);
  return nlohmann::json::parse(text.c_str());
}

struct Map {
  std::string name, attribute;
  bool projects, required;
};
const std::vector<Map>& maps() {
  static const std::vector<Map> all = [] {
    std::vector<Map> list;
    for (const auto& m : list_of("maps"))
      list.push_back({m.at("name"), m.at("attribute").is_null() ? "" : m.at("attribute").get<std::string>(),
                      m.at("input") == "projection", m.at("attribute_required")});
    return list;
  }();
  return all;
}
const std::vector<std::string>& operators() {
  static const std::vector<std::string> all = list_of("ops");
  return all;
}

// Far beyond any memory, and far from where sums of it overflow.
constexpr __int128 kEndless = __int128{1} << 60;
__int128 bounded(__int128 n) { return std::clamp(n, -kEndless, kEndless); }

struct Reach {
  __int128 low = 0, high = 0;  // offsets of the outermost elements
  __int128 elements = 1;
};
Reach reach_of(const Argument& a) {
  Reach r;
  __int128 compact = 1;
  for (size_t d = a.shape.size(); d-- > 0;) {
    const __int128 stride = a.strides.empty() ? compact : a.strides[d];
    const __int128 last = bounded(bounded(stride) * (bounded(a.shape[d]) - 1));
    (last < 0 ? r.low : r.high) += last;
    r.elements = bounded(r.elements * std::max<int64_t>(a.shape[d], 0));
    compact = bounded(compact * std::max<int64_t>(a.shape[d], 1));
  }
  return r;
}

template <typename Visit>
void each_element(const Argument& a, Visit visit) {
  std::vector<int64_t> index(a.shape.size(), 0), strides = a.strides;
  if (strides.empty()) {
    strides.assign(a.shape.size(), 1);
    for (size_t d = a.shape.size(); d-- > 1;) strides[d - 1] = strides[d] * a.shape[d];
  }
  const auto n = static_cast<int64_t>(reach_of(a).elements);
  for (int64_t i = 0; i < n; i++) {
    int64_t offset = 0;
    for (size_t d = 0; d < index.size(); d++) offset += index[d] * strides[d];
    visit(i, offset);
    for (size_t d = index.size(); d-- > 0 && ++index[d] == a.shape[d];) index[d] = 0;
  }
}

size_t element_bytes(const lathe_tensor& t) { return static_cast<size_t>(t.bits) * t.lanes / 8; }

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
  const bool directed = op_ == "causal" || op_ == "decode";
  variant_ = directed && bytes_.either() ? "decay" : "plain";
  stabilise_ = map_ == "favor_performer" && bytes_.either();
  desc.size = sizeof desc;
  desc.op = op_.c_str();
  desc.variant = variant_ == "plain" && bytes_.either() ? nullptr : variant_.c_str();
  desc.map = map_ == "identity" && bytes_.either() ? nullptr : map_.c_str();
  desc.scale = static_cast<float>(bytes_.between(-4, 12)) / 8.f;
  desc.eps = static_cast<float>(bytes_.below(8)) / 1024.f;
  desc.flags = (normalise_ ? LATHE_NORMALISE : 0) | (normalise_ && bytes_.either() ? LATHE_DENOM_MAX : 0) |
               (bytes_.either() ? LATHE_HEADS_TILED : 0) | (stabilise_ ? LATHE_STABILISE : 0);
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
  s.HV = s.HK * (side == 2 && !(normalise_ && variant_ == "decay") ? group : 1);
}

void DrawnCall::draw_sizes() {
  Sizes& s = sizes_;
  s.B = bytes_.below(4);
  s.T = op_ == "decode" ? bytes_.below(6) : bytes_.below(150);
  s.TQ = op_ == "noncausal" && bytes_.either() ? bytes_.below(60) : s.T;
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
  const int64_t dense = a.role == LATHE_SNAPSHOTS || a.role == LATHE_STATE_IN || a.role == LATHE_STATE_OUT ? 2 : 1;
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
  // the choice is one for states and normalisers
  static constexpr uint32_t kStates[] = {LATHE_STATE_IN, LATHE_STATE_OUT};
  const auto came = [&](uint32_t role) {
    return std::any_of(arguments_.begin(), arguments_.end(), [&](const Argument& a) { return a.role == role; });
  };
  const bool first = in == kStates[0], updates = in == out;
  const bool reads = updates || (first ? must_read || bytes_.either() : came(kStates[0]));
  const bool writes = !updates && op_ != "readout" && (first ? must_write || bytes_.either() : came(kStates[1]));
  if (reads) lay_out(*add(in, kFloat32, shape, updates ? Argument::kUpdated : Argument::kRead));
  if (writes) lay_out(*add(out, kFloat32, shape, Argument::kWritten));
}

void DrawnCall::draw_tensors() {
  const Sizes& s = sizes_;
  if (op_ != "accumulate") {
    lay_out(*add(LATHE_Q, kFloat, {s.B, s.TQ, s.HQ, s.D}));
    lay_out(*add(LATHE_O, kFloat, {s.B, s.TQ, s.out_heads(), s.V}, Argument::kWritten));
  }
  if (op_ != "readout") {
    lay_out(*add(LATHE_K, kFloat, {s.B, s.T, s.HK, s.D}));
    lay_out(*add(LATHE_V, kFloat, {s.B, s.T, s.HV, s.V}));
  }
  add_states(LATHE_STATE_IN, LATHE_STATE_OUT, {s.rows, s.state_heads(), s.K, s.V});
  if (normalise_) add_states(LATHE_Z_IN, LATHE_Z_OUT, {s.rows, s.HK, s.K});
  if (stabilise_ && op_ != "readout") add_states(LATHE_STABILISER, LATHE_STABILISER, {s.rows, s.HK});
  if (op_ == "decode" && bytes_.either())
    lay_out(*add(LATHE_SNAPSHOTS, kFloat32, {s.B, s.T, s.state_heads(), s.K, s.V}, Argument::kWritten));
  if (variant_ == "decay") add(LATHE_DECAY, kFloat32, {s.state_heads()});
  if (s.M > 0 && s.HQ == s.HK && op_ != "readout" && bytes_.either())
    lay_out(*add(LATHE_PROJECTION, kFloat32, {s.HQ, s.M, s.D}));
  else if (s.M > 0)
    lay_out(*add(LATHE_PROJECTION, kFloat32, {s.M, s.D}));
  if (!lengths_.empty()) add(LATHE_LENGTHS, kInteger, {s.B});
  if (!cu_seqlens_.empty()) add(LATHE_CU_SEQLENS, kInteger, {s.N + 1});
  if (!slots_.empty()) add(LATHE_SLOTS, kInteger, {s.N});
  if (!positions_.empty()) add(LATHE_POSITION, kInteger, {s.N});
}

void DrawnCall::spoil_description() {
  switch (bytes_.below(10)) {
    case 0:
      desc.size = static_cast<uint32_t>(bytes_.below(sizeof desc + 1));
      break;
    case 1:
      op_ = bytes_.either() ? "" : bytes_.one_of(operators());
      desc.op = bytes_.either() ? nullptr : op_.c_str();
      break;
    case 2:
      variant_ = bytes_.either() ? "decay" : "delta";
      desc.variant = variant_.c_str();
      break;
    case 3:
      map_ = bytes_.either() ? "softmax" : bytes_.one_of(maps()).name;
      desc.map = map_.c_str();
      break;
    case 4:
      desc.flags = bytes_.any();
      break;
    case 5:
      desc.scale = bytes_.either() ? INFINITY : NAN;
      break;
    case 6:
      desc.eps = bytes_.either() ? -1.f : NAN;
      break;
    case 7:
      desc.n_attrs = bytes_.either() ? 0 : desc.n_attrs;
      desc.attrs = nullptr;
      break;
    case 8:
      attributes_.push_back({bytes_.either() ? nullptr : bytes_.one_of(maps()).attribute.c_str(),
                             static_cast<double>(bytes_.below(5000))});
      desc.attrs = attributes_.data();
      desc.n_attrs = attributes_.size();
      break;
    default:
      if (!attributes_.empty()) attributes_[0].value = static_cast<double>(static_cast<int64_t>(bytes_.any()));
  }
}

void DrawnCall::spoil_tensor(Argument& a) {
  const auto dimension = [&] { return static_cast<size_t>(bytes_.below(static_cast<int64_t>(a.shape.size()))); };
  const auto number = [&]() -> int64_t {
    static constexpr std::array<int64_t, 8> kOdd = {-1,
                                                    0,
                                                    1,
                                                    7,
                                                    int64_t{1} << 31,
                                                    int64_t{1} << 62,
                                                    std::numeric_limits<int64_t>::min(),
                                                    std::numeric_limits<int64_t>::max()};
    return bytes_.either() ? bytes_.one_of(kOdd) : static_cast<int64_t>(bytes_.any());
  };
  switch (bytes_.below(12)) {
    case 0:
    case 1:
      if (!a.shape.empty()) a.shape[dimension()] = number();
      break;
    case 2:
    case 3:
      if (a.strides.empty()) a.strides.assign(a.shape.size(), 1);
      if (!a.strides.empty()) a.strides[dimension()] = number();
      break;
    case 4:
      if (a.strides.empty() && !a.shape.empty()) a.shape.pop_back();
      break;
    case 5:
      if (a.strides.empty()) a.shape.push_back(bytes_.below(4));
      break;
    case 6:
      a.view.code = static_cast<uint8_t>(bytes_.any());
      break;
    case 7:
      a.view.bits = static_cast<uint8_t>(bytes_.any());
      break;
    case 8:
      a.view.device_type = static_cast<int32_t>(bytes_.any());
      break;
    case 9:
      a.role = bytes_.either() ? static_cast<uint32_t>(bytes_.below(34)) : static_cast<uint32_t>(bytes_.any());
      a.use = Argument::kUpdated;  // whatever it is now
      break;
    case 10: {
      std::array<std::vector<int64_t>*, 4> lists = {&lengths_, &cu_seqlens_, &slots_, &positions_};
      std::vector<int64_t>& list = *bytes_.one_of(lists);
      if (!list.empty()) list[static_cast<size_t>(bytes_.below(static_cast<int64_t>(list.size())))] = number();
      break;
    }
    default:
      a.view.lanes = static_cast<uint16_t>(bytes_.any());
  }
}

void DrawnCall::place(Argument& a) {
  a.view.ndim = static_cast<int32_t>(a.shape.size());
  a.view.shape = a.shape.data();
  a.view.strides = a.strides.empty() ? nullptr : a.strides.data();
  const Reach reach = reach_of(a);
  if (reach.elements == 0 || a.view.bits % 8 != 0) return;
  const __int128 bytes = (reach.high - reach.low + 1) * static_cast<__int128>(element_bytes(a.view));
  // strides of zero put any number of elements into one: those would take as long to visit as to compute
  if (bytes > kMostBytes || reach.elements > kMostElements) {
    has_memory = false;
    return;
  }
  a.memory.emplace(static_cast<size_t>(bytes), bytes_.either() ? support::Edge::First : support::Edge::Last);
  a.view.data = a.memory->data() - static_cast<int64_t>(reach.low) * static_cast<int64_t>(element_bytes(a.view));
  fill(a);
  a.before.assign(a.memory->data(), a.memory->data() + static_cast<size_t>(bytes));
}

void DrawnCall::fill(Argument& a) {
  const size_t bytes = element_bytes(a.view);
  auto* first = static_cast<unsigned char*>(a.view.data);
  const auto integer = [&](int64_t i) -> int64_t {
    const std::vector<int64_t>& list = a.role == LATHE_LENGTHS      ? lengths_
                                       : a.role == LATHE_CU_SEQLENS ? cu_seqlens_
                                       : a.role == LATHE_SLOTS      ? slots_
                                                                    : positions_;
    return list.empty() ? 0 : list[static_cast<size_t>(i) % list.size()];
  };
  each_element(a, [&](int64_t i, int64_t offset) {
    unsigned char* to = first + offset * static_cast<int64_t>(bytes);
    // multiples of 1/8 from -1 to 0, or to 1 where it is not the log of a decay
    const auto mixed = static_cast<uint32_t>(i) * 2654435761u >> 13;
    const float x = static_cast<float>(mixed % 9) / (a.role == LATHE_DECAY || mixed & 16 ? -8.f : 8.f);
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (a.use == Argument::kWritten) {
      for (size_t b = 0; b < bytes; b++) to[b] = kUnwritten[b % 2];
    } else if (a.view.code == 0 && bytes == 8) {
      const int64_t value = integer(i);
      std::memcpy(to, &value, 8);
    } else if (a.view.code == 0 && bytes == 4) {
      const auto value = static_cast<int32_t>(integer(i));
      std::memcpy(to, &value, 4);
    } else if (bytes == 4) {
      std::memcpy(to, &bits, 4);
    } else if (bytes == 2) {
      // as a bfloat16; as a float16 it is another small number
      const auto half = static_cast<uint16_t>(bits >> 16);
      std::memcpy(to, &half, 2);
    }
  });
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
    const bool of_tokens = a.role <= LATHE_O || a.role == LATHE_SNAPSHOTS;
    const bool of_sequences = a.role >= LATHE_STATE_IN && a.role <= LATHE_POSITION;
    if (!open.shape.empty() && (of_tokens || of_sequences)) open.shape[0] = -1;
    if (open.shape.size() > 1 && of_tokens) open.shape[1] = -1;
    open.view.data = nullptr;
    open.view.shape = open.shape.data();
    open.view.strides = nullptr;
    args.push_back({a.role, &open.view});
  }
  return args;
}

namespace {

bool as_before(const Argument& a) {
  return std::equal(a.before.begin(), a.before.end(), a.memory->data()) && a.memory->slack_intact();
}

// Elements that still hold what no kernel computes, and bytes between elements that hold anything else.
std::string fault_of_output(const Argument& a) {
  const size_t bytes = element_bytes(a.view);
  std::vector<bool> element(a.before.size(), false);
  std::string fault;
  each_element(a, [&](int64_t i, int64_t offset) {
    const unsigned char* at = static_cast<const unsigned char*>(a.view.data) + offset * static_cast<int64_t>(bytes);
    bool unwritten = true;
    for (size_t b = 0; b < bytes; b++) {
      element[static_cast<size_t>(at - a.memory->data()) + b] = true;
      unwritten = unwritten && at[b] == kUnwritten[b % 2];
    }
    if (unwritten && fault.empty()) fault = fmt::format("role {}: element {} was not written", a.role, i);
  });
  for (size_t b = 0; b < a.before.size() && fault.empty(); b++)
    if (!element[b] && a.memory->data()[b] != a.before[b])
      fault = fmt::format("role {}: byte {}, of no element, was written", a.role, b);
  if (fault.empty() && !a.memory->slack_intact()) fault = fmt::format("role {}: written outside", a.role);
  return fault;
}

}  // namespace

std::string DrawnCall::fault_after_refusal() const {
  for (const Argument& a : arguments_)
    if (a.memory && !as_before(a)) return fmt::format("role {}: touched by a refused call", a.role);
  return "";
}

std::string DrawnCall::fault_after_run() const {
  for (const Argument& a : arguments_) {
    if (!a.memory || a.use == Argument::kUpdated) continue;
    if (a.use == Argument::kRead && !as_before(a)) return fmt::format("role {}: an input was written", a.role);
    // rows that no slot names keep what they hold
    const bool some_rows = !slots_.empty() && a.role != LATHE_O && a.role != LATHE_SNAPSHOTS;
    // snapshots past a length are nobody's
    const bool some_tokens = !lengths_.empty() && a.role == LATHE_SNAPSHOTS;
    if (a.use != Argument::kWritten || some_rows || some_tokens) continue;
    if (std::string fault = fault_of_output(a); !fault.empty()) return fault;
  }
  return "";
}

}  // namespace fuzz
