// Which part of the candidates is this process's: i of N, by the hash in a candidate's name.
#pragma once

#include <cstdint>
#include <string>

namespace lathe::tune {

struct Shard {
  int index = 0, count = 1;
  bool owns(const std::string& id) const {
    return std::stoull(id, nullptr, 16) % static_cast<uint64_t>(count) == static_cast<uint64_t>(index);
  }
  std::string file() const { return "shard-" + std::to_string(index) + "-of-" + std::to_string(count) + ".jsonl"; }
};

// "2/8", counted from 0. "/8": the index comes from the scheduler's own variable (SLURM_ARRAY_TASK_ID and so on).
// Throws std::invalid_argument.
Shard parse_shard(const std::string& text);
// The first of the schedulers' variables that is set, as "NAME=value"; empty when none is.
std::string array_index_variable();

}  // namespace lathe::tune
