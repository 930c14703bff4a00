#include "roles.h"

#include <lathe.h>

namespace support {

const std::map<uint32_t, Role>& roles() {
  static const std::map<uint32_t, Role> table = {
      {LATHE_Q, {"Q", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_K, {"K", 4, 5, Kind::Float, 1, 2, false}},
      {LATHE_V, {"V", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_O, {"O", 4, 4, Kind::Float, 1, 2, true}},
      {LATHE_STATE_IN, {"STATE_IN", 4, 4, Kind::Float32, 2, 1, false}},
      {LATHE_STATE_OUT, {"STATE_OUT", 4, 4, Kind::Float32, 2, 1, true}},
      {LATHE_Z_IN, {"Z_IN", 3, 3, Kind::Float32, 1, 1, false}},
      {LATHE_Z_OUT, {"Z_OUT", 3, 3, Kind::Float32, 1, 1, true}},
      {LATHE_STABILISER, {"STABILISER", 2, 2, Kind::Float32, 0, 1, true}},
      {LATHE_LENGTHS, {"LENGTHS", 1, 1, Kind::Integer, 0, 1, false}},
      {LATHE_CU_SEQLENS, {"CU_SEQLENS", 1, 1, Kind::Integer, 0, 1, false}},
      {LATHE_SLOTS, {"SLOTS", 1, 1, Kind::Integer, 0, 1, false}},
      {LATHE_POSITION, {"POSITION", 1, 1, Kind::Integer, 0, 1, false}},
      {LATHE_PROJECTION, {"PROJECTION", 2, 3, Kind::Float32, 1, 0, false}},
      {LATHE_SNAPSHOTS, {"SNAPSHOTS", 5, 5, Kind::Float32, 2, 2, true}},
      {LATHE_GATE, {"GATE", 3, 4, Kind::Float, 0, 2, false}},
      {LATHE_A, {"A", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_B, {"B", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_BETA, {"BETA", 3, 3, Kind::Float, 0, 2, false}},
      {LATHE_BONUS, {"BONUS", 2, 2, Kind::Float32, 1, 0, false}},
      {LATHE_DT, {"DT", 3, 3, Kind::Float, 0, 2, false}},
      {LATHE_DT_BIAS, {"DT_BIAS", 1, 1, Kind::Float32, 0, 0, false}},
      {LATHE_SKIP, {"SKIP", 1, 1, Kind::Float32, 0, 0, false}},
      {LATHE_OUT_GATE, {"OUT_GATE", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_DECAY, {"DECAY", 1, 1, Kind::Float32, 0, 0, false}},
      {LATHE_MIXTURE, {"MIXTURE", 2, 2, Kind::Float32, 1, 0, false}},
      {LATHE_GRAD | LATHE_MIXTURE, {"GRAD_MIXTURE", 2, 2, Kind::Float32, 1, 0, true}},
      {LATHE_STEP_SIZE, {"STEP_SIZE", 1, 1, Kind::Float32, 0, 0, false}},
      {LATHE_MOMENTUM_IN, {"MOMENTUM_IN", 4, 4, Kind::Float32, 2, 1, false}},
      {LATHE_MOMENTUM_OUT, {"MOMENTUM_OUT", 4, 4, Kind::Float32, 2, 1, true}},
      {LATHE_LAST_TOKEN_IN, {"LAST_TOKEN_IN", 3, 3, Kind::Float32, 1, 1, false}},
      {LATHE_LAST_TOKEN_OUT, {"LAST_TOKEN_OUT", 3, 3, Kind::Float32, 1, 1, true}},
      {LATHE_GRAD | LATHE_MOMENTUM_IN, {"GRAD_MOMENTUM_IN", 4, 4, Kind::Float32, 2, 1, true}},
      {LATHE_GRAD | LATHE_MOMENTUM_OUT, {"GRAD_MOMENTUM_OUT", 4, 4, Kind::Float32, 2, 1, false}},
      {LATHE_GRAD | LATHE_Q, {"GRAD_Q", 4, 4, Kind::Float, 1, 2, true}},
      {LATHE_GRAD | LATHE_K, {"GRAD_K", 4, 5, Kind::Float, 1, 2, true}},
      {LATHE_GRAD | LATHE_V, {"GRAD_V", 4, 4, Kind::Float, 1, 2, true}},
      {LATHE_GRAD | LATHE_O, {"GRAD_O", 4, 4, Kind::Float, 1, 2, false}},
      {LATHE_GRAD | LATHE_STATE_IN, {"GRAD_STATE_IN", 4, 4, Kind::Float32, 2, 1, true}},
      {LATHE_GRAD | LATHE_STATE_OUT, {"GRAD_STATE_OUT", 4, 4, Kind::Float32, 2, 1, false}},
      {LATHE_GRAD | LATHE_Z_IN, {"GRAD_Z_IN", 3, 3, Kind::Float32, 1, 1, true}},
      {LATHE_GRAD | LATHE_Z_OUT, {"GRAD_Z_OUT", 3, 3, Kind::Float32, 1, 1, false}},
      {LATHE_GRAD | LATHE_PROJECTION, {"GRAD_PROJECTION", 2, 3, Kind::Float32, 1, 0, true}},
      {LATHE_GRAD | LATHE_GATE, {"GRAD_GATE", 3, 4, Kind::Float, 0, 2, true}},
      {LATHE_GRAD | LATHE_BETA, {"GRAD_BETA", 3, 3, Kind::Float, 0, 2, true}},
      {LATHE_GRAD | LATHE_BONUS, {"GRAD_BONUS", 2, 2, Kind::Float32, 1, 0, true}},
      {LATHE_GRAD | LATHE_DT, {"GRAD_DT", 3, 3, Kind::Float, 0, 2, true}},
      {LATHE_GRAD | LATHE_DT_BIAS, {"GRAD_DT_BIAS", 1, 1, Kind::Float32, 0, 0, true}},
      {LATHE_GRAD | LATHE_SKIP, {"GRAD_SKIP", 1, 1, Kind::Float32, 0, 0, true}},
      {LATHE_GRAD | LATHE_OUT_GATE, {"GRAD_OUT_GATE", 4, 4, Kind::Float, 1, 2, true}},
      {LATHE_GRAD | LATHE_DECAY, {"GRAD_DECAY", 1, 1, Kind::Float32, 0, 0, true}},
  };
  return table;
}

const std::set<uint32_t>& needed_by(const std::string& op) {
  static const std::map<std::string, std::set<uint32_t>> table = {
      {"causal", {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}},
      {"decode", {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}},
      {"noncausal", {LATHE_Q, LATHE_K, LATHE_V, LATHE_O}},
      {"accumulate", {LATHE_K, LATHE_V, LATHE_STATE_OUT}},
      {"causal_backward", {LATHE_Q, LATHE_K, LATHE_V, LATHE_GRAD | LATHE_O}},
      {"noncausal_backward", {LATHE_Q, LATHE_K, LATHE_V, LATHE_GRAD | LATHE_O}},
      {"readout", {LATHE_Q, LATHE_STATE_IN, LATHE_O}},
  };
  return table.at(op);
}

}  // namespace support
