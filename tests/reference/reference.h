// The float64 oracles: what every operator means, said token by token in plain loops.
//
// Each answer comes with its size: the same computation with |.| on every term. An error of the library is then stated
// as a number of epsilons of the size, which stays fair where terms cancel.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace reference {

// What a stabilised map subtracts: the largest projection of a query, or of the keys so far.
struct Maximum {
  double value = 0, size = 0;
};
// For each row of queries and of keys.
struct Maxima {
  std::vector<Maximum> q, k;
};

// Tensors are compact and row-major, with the shapes of runtime/lathe.h; an empty one is absent.
struct Problem {
  std::string variant = "plain", map = "identity";
  int64_t B = 1, T = 1, HQ = 1, HK = 1, HV = 1, D = 4, V = 4, M = 0;
  int64_t TQ = -1;          // queries per row where they differ from the keys (non-causal); -1: T
  int64_t state_rows = -1;  // rows of the state tensors where slots pick among them; -1: one per sequence
  bool tiled = false, normalise = false, denom_max = false, stabilise = false;
  bool snapshots = false;                        // the state after every token is asked for
  bool clamp = false;                            // gates above 0 and steps below it count as 0
  bool softplus = false;                         // of the steps
  bool unit_keys = false, unit_queries = false;  // mapped rows are divided by their length
  bool sigmoid = false, reflects = false;        // of beta: what it is given as, and whether it reaches 2
  int64_t keys = 1;        // of a token and key head: with `mixture` there are several, and weights of them
  bool mix_first = false;  // they are summed before the map, not their features after it
  double scale = 1, eps = 0;
  std::map<std::string, double, std::less<>> attrs;
  std::vector<int64_t> lengths, cu_seqlens, slots, position;
  std::vector<double> q, k, v, gate, state, z, stabiliser, decay, beta, bonus, dt, dt_bias, skip, out_gate, projection,
      a, b, step_size, momentum, last, mixture;
  Maxima held;  // what is subtracted, where it stays while rows move; empty: what rows say

  int64_t key_width() const { return keys * D; }  // numbers of a token and key head
  int64_t queries() const { return TQ < 0 ? T : TQ; }
  int64_t sequences() const { return cu_seqlens.empty() ? B : static_cast<int64_t>(cu_seqlens.size()) - 1; }
  int64_t rows() const { return state_rows < 0 ? sequences() : state_rows; }
  int64_t out_heads() const { return HQ > HV ? HQ : HV; }
  int64_t state_heads() const { return HK > HV ? HK : HV; }
};

struct Answer {
  std::vector<double> o, state, z, stabiliser, snapshots, momentum = {}, last = {};
};
struct Answers {
  Answer value, size;
};
using Oracles = std::map<std::string, Answers (*)(const Problem&)>;

// One sequence: tokens [first, first + count) of row b of the batch count; those up to first + extent have outputs.
struct Sequence {
  int64_t b, first, count, extent, position, state_row;
};
std::vector<Sequence> sequences(const Problem& p);

// Which of `fewer` heads serves head h of `more`.
int64_t shared_head(const Problem& p, int64_t h, int64_t more, int64_t fewer);

struct Feature {
  std::vector<double> value, size;
};
std::vector<std::string> map_names();
int64_t map_width(const Problem& p);
Feature map_query(const Problem& p, int64_t head, int64_t position, const double* x);
Feature map_query(const Problem& p, int64_t head, int64_t position, const double* x, const Maximum& own);
// A row over its length, sqrt(x.x + eps), where x is a multiple of it. No direction stays none.
Feature over_length(Feature x, double multiple, double eps);
Feature map_key(const Problem& p, int64_t head, int64_t position, const double* x, const Maximum& running);
Maximum largest_projection(const Problem& p, int64_t head, const double* x);
// Zeros where nothing is subtracted.
Maxima maxima(const Problem& p);

// The recurrence of MATH B2 and B3: row c of S <- decay(token, head, c) of it + k_c v, tokens counted over the whole
// batch. A query reads S after its token; with a bonus [heads, K], S before it and bonus * k v^T besides. "decode" and
// "causal" mean the same.
using Decay = std::function<double(int64_t token, int64_t head, int64_t c)>;
// Where tokens are corrected, what one adds comes in place of its value.
struct Correction {
  std::vector<double> value, size;  // for each column of the state
  double stretch;                   // of an error that the state has: the norm of what it is multiplied by
};
using Correct = std::function<Correction(int64_t token, int64_t head, const Feature& k, const double* v,
                                         const std::vector<double>& state)>;
// What a token reads of the state before it, and the row that it is added by, next to what decays.
struct Moved {
  Feature row;
  Correction read;  // its stretch is that of the decays as well
};
using Move = std::function<Moved(int64_t token, int64_t head, const std::vector<double>& state)>;
Answers scan(const Problem& p, const Decay& decay, const std::vector<double>& bonus = {}, const Correct& correct = {},
             const Move& move = {});
Decay left_by_gates(const Problem& p);
Answers causal(const Problem& p);

// A variant of the recurrence announces itself from its own file.
struct Variant {
  Answers (*causal)(const Problem&);
  double epsilons;  // allowed to the library for up to four chunks of tokens: about twice the worst seen
  // What of the problem it reads: one for each state head; one for each token of such a head, or K of them; K weights
  // for each such head.
  bool takes_decay = false, takes_gate = false, takes_key_gates = false, takes_bonus = false;
  bool takes_beta = false;      // one for each token and state head; there is no normaliser then
  bool takes_rows = false;      // A and B, K numbers for each token and state head; no normaliser, and no gradient
  bool takes_momentum = false;  // and a step size for each state head; the decay is the momentum's
  bool adapts = false;          // to its tokens, of which the last comes with the momentum; no gradient
  // A decay and a step size for each state head, which say what tokens count by the number of those to come: one call
  // computes a sequence, and no pieces do.
  bool knows_length = false;
  bool takes_steps = false;  // and what goes with them: their bias, skip and out_gate, each of which may be absent
};
// Gates of one token and head.
int64_t gate_width(const Problem& p);
// The parts of a problem that have a row for each token.
const std::vector<std::vector<double> Problem::*>& rows_of_tokens();
std::map<std::string, Variant>& variants();
std::vector<std::string> variant_names();
// Those that a sequence may be computed in pieces of.
std::vector<std::string> recurrent_variants();
// The length of a row.
double norm(const std::vector<double>& x);
inline bool has_normaliser(const std::string& variant) {
  return !variants().at(variant).takes_beta && !variants().at(variant).takes_rows;
}
inline bool has_gradient(const std::string& variant) {
  return !variants().at(variant).takes_rows && !variants().at(variant).adapts;
}

struct AnnounceVariant {
  AnnounceVariant(const char* name, const Variant& variant) { variants().emplace(name, variant); }
};

// The sum over a whole sequence, what it gives to each query, and what a given state gives.
Answers accumulate(const Problem& p);
Answers noncausal(const Problem& p);
Answers readout(const Problem& p);
Oracles operators();
// Operators with the variants they know: all but the plain one have a direction.
std::vector<std::pair<std::string, std::string>> operators_and_variants();

// Zeroed outputs, and states as they come in.
Answers initial_answers(const Problem& p);
// o and its size from a mapped query, a state and a normaliser of one head.
void read_out(const Problem& p, const Feature& q, const double* state, const double* state_size, const double* z,
              const double* z_size, double* o, double* o_size);

}  // namespace reference
