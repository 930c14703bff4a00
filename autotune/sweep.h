// One sweep over a kernel's space: probe the noise, check the default, look at candidates, give the best of them more
// pairs, and let the winner duel with what is in force.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "journal.h"
#include "measurer.h"
#include "shard.h"
#include "strategy.h"

namespace lathe::tune {

struct Effort {
  int evals = 150;          // candidates looked at
  double seconds = 600;     // of the whole sweep
  int stall = 60;           // candidates without a better one
  int pairs = 24;           // of a candidate
  double pair_seconds = 4;  // at most, for those of one problem
  int finalists = 8;        // that get more pairs
  int claim_pairs = 100;    // of the last ones
  double claim_seconds = 20;
};
// "quick", "normal", "full"; throws std::invalid_argument for another.
Effort effort_of(const std::string& name);

struct SweepOptions {
  Effort effort;
  StrategyOptions strategy;
  Shard shard;
  std::filesystem::path folder;
  std::vector<Shape> shapes;
  int jobs = 2, cpu = -1;
  bool autoschedulers = false;  // look at what Halide's make of the kernel as well
};

enum class Finding { improved, confirmed, nothing_better, looked_at, default_wrong, nothing_valid, interrupted };
// As the exit code of the program.
int exit_code(Finding finding);
const char* name_of(Finding finding);

struct Progress {
  std::string phase;
  int done = 0, planned = 0;
  double best = 1;        // ratio of the best so far
  double half_width = 0;  // of its interval
  std::map<Reason, int> counts;
  double noise = 0;  // half width of the last A/A interval
  double seconds = 0;
  const Entry* entry = nullptr;  // what was just found out
};

struct Result {
  Finding finding = Finding::nothing_better;
  Point winner, current;                   // what the sweep found, and what was in force
  Outcome versus_current, versus_default;  // of the winner
  std::vector<Entry> finals;               // best first
  std::vector<double> noise;               // half widths of the A/A intervals
  double smallest_effect = 0;              // that the noise lets one see
  std::map<Reason, int> counts;
  int evals = 0;
  double seconds = 0;
  double compile_seconds = 0, measure_seconds = 0;  // of those, in which compilers and measurers were at work
  std::string detail;                               // why there is no winner
};

// What a runner is asked for two candidates of a space, in a sweep's own number of pairs.
Job job_of(const Space& space, const SweepOptions& options, const Candidate& candidate, const Candidate& incumbent);

class Sweep {
 public:
  using Watch = std::function<void(const Progress&)>;
  Sweep(const Space& space, const Tools& tools, Measurer& measurer, const SweepOptions& options, Watch watch);

  // Throws Infrastructure when the machinery fails; what was found out until then is in the journal.
  Result run();

 private:
  Job job_for(const Candidate& candidate) const { return job_of(space_, options_, candidate, incumbent_); }
  Outcome measure(const Candidate& candidate, const Job& job);
  static Outcome judged(const Candidate& candidate, Outcome outcome);
  Candidate built(const Point& point, const char* what);
  void probe_noise();
  void search();
  Candidate autoscheduled(const std::string& scheduler, const std::string& problem);
  void compare_autoschedulers();
  std::vector<Candidate> build_all(const std::vector<size_t>& batch, const std::vector<size_t>& fresh);
  std::vector<Outcome> rate_all(const std::vector<Candidate>& candidates, const std::vector<size_t>& distinct);
  void look_at(const std::vector<size_t>& batch);
  void note(Entry entry, bool counts);
  void finish();
  void finish_untimed(const std::vector<std::pair<double, size_t>>& order);
  void race_finalists(const std::vector<std::pair<double, size_t>>& order);
  void settle();
  Outcome duel(const Point& challenger, const Point& holder, const std::string& stage);
  void tell(const std::string& phase, const Entry* entry);
  bool done() const;
  double score(const Outcome& outcome) const;

  const Space& space_;
  const Tools& tools_;
  Measurer& measurer_;
  const SweepOptions& options_;
  Watch watch_;
  Journal journal_;
  std::map<std::string, Entry> known_;  // of earlier runs of this sweep
  std::map<std::string, Entry> known_finals_;
  std::map<std::string, std::string> codes_;  // code -> the candidate that was measured
  Candidate incumbent_;
  Scores scores_;
  Result result_;
  Progress progress_;
  int since_better_ = 0, since_noise_ = 0;
  double started_;
};

}  // namespace lathe::tune
