#include "cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace lathe::bench {

namespace {

// Each row is run on every shape of its group.
struct Listed {
  const char *group, *op, *variant, *map, *dtype;
  Layout layout;
  bool normalise;
  int threads;
  int64_t keys = 1;
};

constexpr Layout kBthd = Layout::kBthd, kBhtd = Layout::kBhtd;
constexpr Listed kRows[] = {
    {"headline", "causal", "plain", "elu1", "f32", kBhtd, true, 1},
    {"headline", "causal", "plain", "elu1", "f32", kBthd, true, 1},
    {"headline", "causal", "plain", "identity", "f32", kBhtd, false, 1},
    {"headline", "causal", "plain", "identity", "f32", kBthd, false, 1},
    {"headline", "causal", "decay", "identity", "f32", kBthd, false, 1},
    {"headline", "causal", "gate", "identity", "f32", kBthd, false, 1},
    {"headline", "causal", "ssd", "identity", "f32", kBthd, false, 1},
    {"headline", "causal", "gate_key", "identity", "f32", kBthd, false, 1},
    {"headline", "causal", "rwkv6", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "delta", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "gated_delta", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "kda", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "rwkv7", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "momentum", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "adaptive_momentum", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal", "momentum", "elu1", "f32", kBthd, true, 1},
    {"many_heads", "causal", "plain", "identity", "f32", kBthd, false, 1, 2},
    {"many_heads", "causal", "plain", "elu1", "f32", kBthd, true, 1, 2},
    {"headline", "noncausal", "plain", "elu1", "f32", kBhtd, true, 1},
    {"headline", "noncausal", "plain", "elu1", "f32", kBthd, true, 1},
    {"headline", "noncausal", "plain", "identity", "f32", kBhtd, false, 1},
    {"headline", "causal_backward", "plain", "identity", "f32", kBhtd, false, 1},
    {"headline", "causal_backward", "plain", "identity", "f32", kBthd, false, 1},
    {"headline", "causal_backward", "plain", "elu1", "f32", kBhtd, true, 1},
    {"headline", "causal_backward", "decay", "identity", "f32", kBthd, false, 1},
    {"headline", "causal_backward", "gate", "identity", "f32", kBthd, false, 1},
    {"headline", "causal_backward", "ssd", "identity", "f32", kBthd, false, 1},
    {"headline", "causal_backward", "gate_key", "identity", "f32", kBthd, false, 1},
    {"headline", "causal_backward", "rwkv6", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal_backward", "momentum", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal_backward", "plain", "elu1", "f32", kBthd, true, 1, 2},
    {"many_heads", "causal_backward", "delta", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal_backward", "gated_delta", "identity", "f32", kBthd, false, 1},
    {"many_heads", "causal_backward", "kda", "identity", "f32", kBthd, false, 1},
    {"headline", "noncausal_backward", "plain", "elu1", "f32", kBhtd, true, 1},
    {"headline", "causal", "plain", "elu1", "bf16", kBhtd, true, 1},
    {"headline", "causal", "plain", "elu1", "f16", kBhtd, true, 1},
    {"projected", "causal", "plain", "favor", "f32", kBhtd, true, 1},
    {"grouped", "causal", "plain", "elu1", "f32", kBthd, true, 1},
    {"decode_cached", "decode", "plain", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "gate", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "ssd", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "gate_key", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "rwkv6", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "rwkv7", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "gated_delta", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "momentum", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "adaptive_momentum", "identity", "f32", kBthd, false, 1},
    {"decode_cached", "decode", "plain", "identity", "f32", kBthd, false, 1, 2},
    {"decode_cached", "decode", "plain", "elu1", "f32", kBthd, true, 1},
    {"decode_memory", "decode", "plain", "identity", "f32", kBthd, false, 1},
    {"decode_memory", "decode", "plain", "elu1", "f32", kBthd, true, 1},
    {"single_head", "causal", "plain", "elu1", "f32", kBhtd, true, 1},
    {"headline", "causal", "plain", "elu1", "f32", kBhtd, true, 2},
    {"decode_memory", "decode", "plain", "identity", "f32", kBthd, false, 2},
    {"single_head", "causal", "plain", "elu1", "f32", kBhtd, true, 2},
    {"smoke", "causal", "plain", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal", "plain", "identity", "f32", kBthd, false, 1},
    {"smoke", "causal_backward", "gate", "elu1", "f32", kBthd, true, 1},
    {"smoke", "noncausal_backward", "plain", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal_backward", "rwkv6", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal_backward", "ssd", "identity", "f32", kBthd, false, 1},
    {"smoke", "causal_backward", "kda", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "plain", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "rwkv6", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "ssd", "identity", "f32", kBthd, false, 1},
    {"smoke", "causal", "rwkv7", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "rwkv7", "identity", "f32", kBthd, false, 1},
    {"smoke", "causal", "gated_delta", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "gated_delta", "identity", "f32", kBthd, false, 1},
    {"smoke", "causal", "momentum", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal", "adaptive_momentum", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal", "momentum_training", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal", "plain", "elu1", "f32", kBthd, true, 1, 2},
    {"smoke", "causal_backward", "plain", "elu1", "f32", kBthd, true, 1, 2},
    {"smoke", "causal_backward", "momentum", "elu1", "f32", kBthd, true, 1},
    {"smoke", "causal_backward", "momentum_training", "elu1", "f32", kBthd, true, 1},
    {"smoke_decode", "decode", "momentum", "identity", "f32", kBthd, false, 1},
    {"smoke_decode", "decode", "adaptive_momentum", "identity", "f32", kBthd, false, 1},
};

}  // namespace

std::vector<Shape> shapes() {
  return {
#define LATHE_SHAPE(group, b, t, hq, hk, d, m, v) Shape{#group, b, t, hq, hk, d, m, v},
#include "shapes.def"
  };
}

std::vector<Case> cases(int threads, bool smoke) {
  std::vector<Case> all;
  const auto known = shapes();
  for (const Listed& row : kRows) {
    if (std::string_view(row.group).starts_with("smoke") != smoke || (threads > 1 && row.threads > 1)) continue;
    for (const Shape& shape : known)
      if (shape.group == row.group)
        all.push_back({shape, row.op, row.variant, row.map, row.dtype, row.layout, row.normalise,
                       std::max(threads, row.threads), row.keys});
  }
  return all;
}

std::string case_name(const Case& c) {
  const Shape& s = c.shape;
  const std::string heads = s.query_heads == s.key_heads ? fmt::format("H{}", s.query_heads)
                                                         : fmt::format("HQ{}.HK{}", s.query_heads, s.key_heads);
  const std::string keys = c.keys > 1 ? fmt::format(".M{}", c.keys) : "";
  return fmt::format("{}{}/{}/{}/B{}.T{}.{}{}.D{}.K{}.V{}/{}{}/threads:{}", c.op,
                     c.variant == "plain" ? "" : "." + c.variant, c.map, c.dtype, s.batch, s.tokens, heads, keys,
                     s.width, key_width(c), s.value_width, c.layout == Layout::kBhtd ? "BHTD" : "BTHD",
                     c.normalise ? "/norm" : "", c.threads);
}

std::optional<Baseline> baseline(const Case& c) {
  Case base = c;
  if (c.threads > 1) {
    base.threads = 1;
    return Baseline{"vs_one_thread", base};
  }
  if (c.keys > 1) {
    base.keys = 1;
    return Baseline{"vs_single_keys", base};
  }
  if (c.variant != "plain") {
    base.variant = "plain";
    return Baseline{"vs_plain", base};
  }
  if (is_backward(c) && c.layout == Layout::kBhtd) {
    base.op = c.op.substr(0, c.op.find('_'));
    return Baseline{"vs_forward", base};
  }
  if (c.dtype != "f32") {
    base.dtype = "f32";
    return Baseline{"vs_f32", base};
  }
  if (c.layout == Layout::kBthd && c.shape.tokens > 1) {
    base.layout = Layout::kBhtd;
    return Baseline{"vs_BHTD", base};
  }
  return std::nullopt;
}

// FAVOR+ has an exponential and its inverse for every projection row.
int64_t key_width(const Case& c) { return c.shape.projections > 0 ? 2 * c.shape.projections : c.shape.width; }

bool has_bonus(const Case& c) { return c.variant == "rwkv6"; }
bool has_steps(const Case& c) { return c.variant == "ssd"; }
bool has_decay(const Case& c) { return c.variant == "decay" || has_steps(c); }
bool has_rows(const Case& c) { return c.variant == "rwkv7"; }
bool adapts(const Case& c) { return c.variant == "adaptive_momentum"; }
bool moves(const Case& c) { return c.variant == "momentum" || adapts(c); }
bool foresees(const Case& c) { return c.variant == "momentum_training"; }
bool corrects(const Case& c) { return c.variant.ends_with("delta") || c.variant == "kda"; }

int64_t gate_width(const Case& c) {
  if (c.variant == "gate" || c.variant == "gated_delta") return 1;
  return c.variant == "gate_key" || c.variant == "kda" || has_bonus(c) || has_rows(c) ? key_width(c) : 0;
}

int64_t heads(const Case& c) { return std::max(c.shape.query_heads, c.shape.key_heads); }

bool is_backward(const Case& c) { return c.op.ends_with("_backward"); }

double useful_flops(const Case& c) {
  // A state is updated once for all queries that share it.
  // The delta rule reads it for its key besides, and where one row reads it another adds what that read.
  const int64_t products = heads(c) + (has_rows(c) ? 3 : corrects(c) ? 2 : 1) * c.shape.key_heads;
  const auto rows = static_cast<double>(c.shape.batch * c.shape.tokens * products);
  return (is_backward(c) ? 5 : 2) * rows * static_cast<double>(key_width(c) * c.shape.value_width);
}

double actual_flops(const Case& c, int chunk) {
  const auto tokens = static_cast<double>(c.shape.batch * c.shape.tokens);
  const auto mapped = tokens * static_cast<double>(c.shape.query_heads + c.shape.key_heads);
  const double projection = 2 * mapped * static_cast<double>(c.shape.width * c.shape.projections);
  const double triangle = (corrects(c) ? 2 : 1) * tokens * static_cast<double>(heads(c)) * chunk *
                          static_cast<double>(key_width(c) + c.shape.value_width);
  if (has_rows(c)) return useful_flops(c) + projection;  // tokens are walked
  return useful_flops(c) + projection + (c.op == "causal" ? triangle : c.op == "causal_backward" ? 3 * triangle : 0);
}

double state_bytes(const Case& c) {
  return 4.0 * static_cast<double>(c.shape.batch * c.shape.key_heads * key_width(c) * c.shape.value_width);
}

}  // namespace lathe::bench
