#include "shard.h"

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>

namespace lathe::tune {

namespace {

struct Index {
  const char* variable;
  int first;  // what the scheduler calls the first task by default
};
constexpr Index kVariables[] = {
    {"SLURM_ARRAY_TASK_ID", 0}, {"HQ_TASK_ID", 0}, {"PBS_ARRAY_INDEX", 0}, {"LSB_JOBINDEX", 1}, {"SGE_TASK_ID", 1}};

int number(const std::string& text, const std::string& whole) {
  size_t used = 0;
  int value = -1;
  try {
    value = std::stoi(text, &used);
  } catch (const std::exception&) {
    used = std::string::npos;
  }
  if (used != text.size())
    throw std::invalid_argument(fmt::format("--shard {}: expected i/N, i from 0 to N - 1", whole));
  return value;
}

}  // namespace

std::string array_index_variable() {
  for (const Index& index : kVariables)
    if (const char* value = std::getenv(index.variable); value && *value)
      return fmt::format("{}={}", index.variable, value);
  return "";
}

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  const size_t slash = text.find('/');
  if (slash == std::string::npos) throw std::invalid_argument(fmt::format("--shard {}: expected i/N", text));
  Shard shard;
  shard.count = number(text.substr(slash + 1), text);
  if (slash > 0) {
    shard.index = number(text.substr(0, slash), text);
  } else {
    const Index* found = nullptr;
    for (const Index& index : kVariables)
      if (const char* value = std::getenv(index.variable); !found && value && *value) found = &index;
    if (!found)
      throw std::invalid_argument(
          fmt::format("--shard {}: no scheduler tells the index; expected one of "
                      "SLURM_ARRAY_TASK_ID, HQ_TASK_ID, PBS_ARRAY_INDEX, LSB_JOBINDEX, SGE_TASK_ID",
                      text));
    shard.index = number(std::getenv(found->variable), text) - found->first;
  }
  if (shard.count < 1 || shard.index < 0 || shard.index >= shard.count)
    throw std::invalid_argument(fmt::format("--shard {}: there is no part {} of {}", text, shard.index, shard.count));
  return shard;
}

}  // namespace lathe::tune
