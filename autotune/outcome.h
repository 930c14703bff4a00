// What became of one candidate.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lathe::tune {

#define LATHE_REASONS(reason)                                                                                   \
  reason(ok) reason(constraint) reason(compile_error) reason(compile_timeout) reason(crash) reason(run_timeout) \
      reason(oom) reason(wrong) reason(unstable) reason(unrated) reason(infra)

enum class Reason {
#define LATHE_REASON(name) name,
  LATHE_REASONS(LATHE_REASON)
#undef LATHE_REASON
};
const char* name_of(Reason reason);
// Throws std::invalid_argument for a word that is no reason.
Reason reason_of(std::string_view name);

struct Outcome {
  Reason reason = Reason::infra;
  std::string detail;  // of a failure: what was seen; where extents were asked for: those, a line a shape
  // Candidate's time over the incumbent's, both measured in turn in one process; below 1 is faster.
  double ratio = 0, low = 0, high = 0;
  int pairs = 0, fast = 0;
  bool conclusive = false;
  // Of one token, in that process; never to be compared with another process's.
  double ns = 0, ns_incumbent = 0;
  double cost = 0;        // by a static model, in its own unit
  double worst = 0;       // largest error, in epsilons of the size of its number
  std::string same_code;  // the candidate whose code this one turned out to be
  double compile_seconds = 0, run_seconds = 0;

  bool usable() const { return reason == Reason::ok; }
};

void to_json(nlohmann::json& json, const Outcome& outcome);
void from_json(const nlohmann::json& json, Outcome& outcome);

}  // namespace lathe::tune
