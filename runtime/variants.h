// What the library knows of a variant: the rows of generators/variants.h.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "operators.h"
#include "tensor.h"

namespace lathe {

// What a variant's formula reads of the tokens of one head.
struct Gates {
  Strided g;     // the head's DECAY, for each token again, or the tokens' GATE
  Strided dt;    // their steps
  int64_t h, H;  // the head, and how many there are
};

struct Variant {
  const char* name;
  std::string_view transition;
  void (*log_decays)(const Gates& gates, int64_t n, float* out);  // of n tokens
  uint64_t inputs;                                                // bits 1 << role
  bool decays() const { return transition == "decay" || keyed(); }
  bool steps() const { return (inputs >> LATHE_DT & 1) != 0; }  // tokens have steps, which weigh their values too
  // What a call may bring besides.
  uint64_t options() const {
    return steps()   ? bits({LATHE_DT_BIAS, LATHE_SKIP, LATHE_OUT_GATE})
           : moves() ? bits({LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT}) |
                           (adapts() ? bits({LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT}) : 0)
                     : 0;
  }
  bool reads_before() const { return (inputs >> LATHE_BONUS & 1) != 0; }  // a query reads the state before its token
  // A token adds what its value differs by from what the state has for its key: the delta rule.
  bool corrects() const { return (inputs >> LATHE_BETA & 1) != 0; }
  bool moves() const { return transition == "momentum"; }  // states have a momentum, which is what decays
  bool directed() const { return decays() || corrects() || brings_step_size(); }  // tokens come one after another
  bool brings_step_size() const { return (inputs >> LATHE_STEP_SIZE & 1) != 0; }
  // Without a state that has it, what a momentum makes of a value by the end of its sequence is a weight of the value.
  bool foresees() const { return brings_step_size() && !moves(); }
  bool weighs() const { return steps() || foresees(); }  // values count by numbers of their tokens
  bool recurs() const { return !foresees(); }            // a token needs no later ones
  // How much of a momentum is left is found from each token and the one before it, where no DECAY says it.
  bool adapts() const { return moves() && !(inputs >> LATHE_DECAY & 1); }
  // What a row reads of the state, A, another one, B, adds to it.
  bool rank_one() const { return (inputs >> LATHE_A & 1) != 0; }
  bool reads_state() const { return corrects() || rank_one(); }  // what a token adds hangs on the state before it
  bool has_normaliser() const { return !corrects() && !rank_one(); }
  bool has_gradient() const { return !rank_one() && !adapts(); }
  bool keyed() const { return transition == "gate_key"; }  // a gate for each key dimension
};

std::span<const Variant> variants();
const Variant* find_variant(std::string_view name);

}  // namespace lathe
