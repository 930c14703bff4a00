// What is measured: an operator on a shape, and the arithmetic that its name and its counters are made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::bench {

struct Shape {
  std::string group;
  int64_t batch, tokens, query_heads, key_heads, width, projections, value_width;
};

enum class Layout { kBthd, kBhtd };

struct Case {
  Shape shape;
  std::string op, variant, map, dtype;
  Layout layout;
  bool normalise;
  int threads;
  int64_t keys = 1;  // of a token and head, which are mixed
};

std::vector<Shape> shapes();
// With threads = 1, the cases of the issue of two threads too, where the machine has them.
std::vector<Case> cases(int threads, bool smoke);

// Without the contestant in front: "causal/elu1/f32/B1.T4096.H8.D64.K64.V64/BHTD/norm/threads:1".
std::string case_name(const Case& c);
bool is_backward(const Case& c);
// The case that this one is held against, with the counter's name: several threads with one, a variant with the plain
// scan, mixed keys with single ones, a gradient with the operator whose gradient it is, another dtype with float32,
// [B,T,H,D] with [B,H,T,D].
struct Baseline {
  std::string counter;
  Case base;
};
std::optional<Baseline> baseline(const Case& c);

int64_t key_width(const Case& c);
int64_t heads(const Case& c);
// What the variant brings: gates of one token and key head; a decay of each head; weights of a token's own key, a state
// then being read before it is updated; steps of tokens.
int64_t gate_width(const Case& c);
bool has_decay(const Case& c);
bool has_bonus(const Case& c);
bool has_steps(const Case& c);
// Whether a row of the caller's reads the state, and another adds what that read.
bool has_rows(const Case& c);
// Whether states have a momentum, with a decay and a step size for each head.
bool moves(const Case& c);
// ... or without that decay, of which the tokens then say how much is left.
bool adapts(const Case& c);
// Whether values are weighed by that decay and step size, and by how many tokens are to come.
bool foresees(const Case& c);
// Whether tokens are corrected: the delta rule, which brings betas.
bool corrects(const Case& c);
// 4 T H K V (2 T (HQ + HK) K V where queries share keys): the recurrence itself; 2 T HK K V more for the delta rule, 4
// T HK K V for rows that read and add, 10 T H K V of a gradient. It does not reward a chunk that does more work.
double useful_flops(const Case& c);
// What a chunked kernel executes: the useful ones, the causal triangle of a chunk, the projection of the map. Padding,
// masked lanes and pointwise maps never count. chunk = 0: no triangle.
double actual_flops(const Case& c, int chunk);
// Bytes of all states, once.
double state_bytes(const Case& c);

}  // namespace lathe::bench
