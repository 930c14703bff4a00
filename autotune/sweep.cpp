#include "sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "interrupt.h"
#include "side_by_side.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

constexpr double kBetter = 0.99;  // the interval of a winner lies below
constexpr int kNoiseEvery = 40;   // candidates
constexpr size_t kBatch = 8;      // proposed at once, whatever the number of jobs: the search must not depend on it

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Adds the time that it lives to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum), start_(now()) {}
  ~Stopwatch() { sum_ += now() - start_; }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& sum_;
  double start_;
};

}  // namespace

Effort effort_of(const std::string& name) {
  if (name == "normal") return {};
  if (name == "quick") return {.evals = 60, .seconds = 150, .stall = 40, .finalists = 4, .claim_seconds = 8};
  if (name == "full") return {.evals = 2000, .seconds = 3600, .stall = 400, .finalists = 10, .claim_seconds = 40};
  throw std::invalid_argument(fmt::format("--effort {}: expected quick, normal or full", name));
}

int exit_code(Finding finding) {
  switch (finding) {
    case Finding::improved:
    case Finding::confirmed:
    case Finding::looked_at:
      return 0;
    case Finding::default_wrong:
      return 3;
    case Finding::nothing_valid:
      return 4;
    case Finding::nothing_better:
      return 5;
    case Finding::interrupted:
      return 75;
  }
  return 75;
}

const char* name_of(Finding finding) {
  constexpr const char* kNames[] = {"improved",      "confirmed",     "nothing better", "looked at",
                                    "default wrong", "nothing valid", "interrupted"};
  static_assert(std::size(kNames) == static_cast<size_t>(Finding::interrupted) + 1);
  return kNames[static_cast<size_t>(finding)];
}

Sweep::Sweep(const Space& space, const Tools& tools, Measurer& measurer, const SweepOptions& options, Watch watch)
    : space_(space),
      tools_(tools),
      measurer_(measurer),
      options_(options),
      watch_(std::move(watch)),
      journal_(options.folder / options.shard.file()),
      known_(by_candidate(journal_.entries(), "sweep")),
      known_finals_(by_candidate(journal_.entries(), "final")),
      started_(now()) {
  // islands learn from each other whenever they start
  std::vector<fs::path> folder = {options.folder};
  if (options.strategy.name == "ils")
    for (const auto& [id, entry] : by_candidate(merged(folder), "sweep")) known_.try_emplace(id, entry);
}

double Sweep::score(const Outcome& outcome) const {
  if (!outcome.usable()) return kUnusable;
  // a measured one may be rated as well
  if (outcome.ratio > 0) return outcome.ratio;
  return outcome.cost > 0 ? outcome.cost : 1;
}

Job job_of(const Space& space, const SweepOptions& options, const Candidate& candidate, const Candidate& incumbent) {
  Job job;
  job.kernel = space.kernel;
  job.axis = space.axis;
  job.arguments = space.arguments.get<std::vector<Argument>>();
  job.candidate = candidate.built;
  job.incumbent = incumbent.built;
  job.shapes = options.shapes;
  job.pairs = options.effort.pairs;
  job.seconds = options.effort.pair_seconds;
  job.cpu = options.cpu;
  return job;
}

Outcome Sweep::measure(const Candidate& candidate, const Job& job) {
  const Stopwatch watch(result_.measure_seconds);
  return judged(candidate, measurer_.measure(space_, candidate, job));
}

Outcome Sweep::judged(const Candidate& candidate, Outcome outcome) {
  outcome.compile_seconds = candidate.outcome.compile_seconds;
  if (outcome.reason == Reason::infra) throw Infrastructure(outcome.detail);
  return outcome;
}

Candidate Sweep::built(const Point& point, const char* what) {
  const Stopwatch watch(result_.compile_seconds);
  Candidate candidate = build_candidate(tools_, space_, point, options_.folder / "objects");
  if (candidate.outcome.reason == Reason::infra) throw Infrastructure(candidate.outcome.detail);
  if (!candidate.outcome.usable())
    throw std::runtime_error(
        fmt::format("{} ({}) could not be built: {}", what, space_.text(point), candidate.outcome.detail));
  return candidate;
}

void Sweep::tell(const std::string& phase, const Entry* entry) {
  progress_.phase = phase;
  progress_.seconds = now() - started_;
  progress_.entry = entry;
  watch_(progress_);
}

void Sweep::note(Entry entry, bool counts) {
  if (counts) {
    progress_.counts[entry.outcome.reason]++;
    progress_.done++;
    const double value = score(entry.outcome);
    scores_[space_.index_of(space_.parse(entry.text))] = value;
    since_better_++;
    if (entry.outcome.usable() && entry.outcome.ratio > 0 && entry.outcome.ratio < progress_.best) {
      progress_.best = entry.outcome.ratio;
      progress_.half_width = (entry.outcome.high - entry.outcome.low) / 2;
      since_better_ = 0;
    }
  }
  if (!known_.contains(entry.id) || !counts) journal_.append(entry);
  tell(entry.stage, &entry);
}

// The incumbent against a copy of itself, elsewhere in memory: what it seems to win or lose is noise.
void Sweep::probe_noise() {
  since_noise_ = 0;
  if (measurer_.fidelity() != "native") return;
  Candidate copy = incumbent_;
  copy.built.library = (options_.folder / "objects" / "same.so").string();
  fs::copy_file(incumbent_.built.library, copy.built.library, fs::copy_options::overwrite_existing);
  Job job = job_for(copy);
  job.verify = false;
  job.racing = false;
  Entry entry{incumbent_.id, space_.text(incumbent_.point), "noise", 0, measure(copy, job)};
  if (!entry.outcome.usable()) throw Infrastructure("the noise probe failed: " + entry.outcome.detail);
  progress_.noise = (entry.outcome.high - entry.outcome.low) / 2;
  result_.noise.push_back(progress_.noise);
  note(std::move(entry), false);
}

std::vector<Candidate> Sweep::build_all(const std::vector<size_t>& batch, const std::vector<size_t>& fresh) {
  const Stopwatch watch(result_.compile_seconds);
  std::vector<Candidate> candidates(batch.size());
  side_by_side(fresh.size(), options_.jobs, [&](size_t n) {
    const size_t i = fresh[n];
    if (!interrupted())
      candidates[i] = build_candidate(tools_, space_, space_.points[batch[i]], options_.folder / "objects");
  });
  return candidates;
}

// What needs no quiet machine, before the journal takes it in order.
std::vector<Outcome> Sweep::rate_all(const std::vector<Candidate>& candidates, const std::vector<size_t>& distinct) {
  const Stopwatch watch(result_.measure_seconds);
  std::vector<Outcome> outcomes(candidates.size());
  side_by_side(distinct.size(), options_.jobs, [&](size_t n) {
    const Candidate& candidate = candidates[distinct[n]];
    if (!interrupted()) outcomes[distinct[n]] = measurer_.measure(space_, candidate, job_for(candidate));
  });
  return outcomes;
}

void Sweep::look_at(const std::vector<size_t>& batch) {
  std::vector<size_t> fresh;
  for (size_t i = 0; i < batch.size(); i++) {
    const Point& point = space_.points[batch[i]];
    const std::string id = space_.id(point);
    if (const auto found = known_.find(id); found != known_.end())
      note(found->second, true);
    else if (options_.strategy.name == "ils" || options_.shard.owns(id))
      fresh.push_back(i);
    else
      scores_[batch[i]] = kUnusable;  // another shard's
  }
  // compiling is over before anything is timed
  const auto candidates = build_all(batch, fresh);
  std::vector<size_t> distinct;
  for (const size_t i : fresh)
    if (const Candidate& c = candidates[i]; c.outcome.usable() && codes_.try_emplace(c.code, c.id).second)
      distinct.push_back(i);
  const bool at_once = measurer_.at_once();
  const auto rated = at_once ? rate_all(candidates, distinct) : std::vector<Outcome>{};
  for (const size_t i : fresh) {
    const Candidate& candidate = candidates[i];
    if (interrupted() || done() || candidate.id.empty()) return;
    if (candidate.outcome.reason == Reason::infra) throw Infrastructure(candidate.outcome.detail);
    Entry entry{candidate.id, space_.text(candidate.point), "sweep", 0, candidate.outcome};
    if (candidate.outcome.usable()) {
      if (const std::string& same = codes_.at(candidate.code); same == candidate.id) {
        entry.outcome = at_once ? judged(candidate, rated[i]) : measure(candidate, job_for(candidate));
      } else {
        entry.outcome = known_.at(same).outcome;
        entry.outcome.same_code = same;
      }
      std::error_code ignored;
      if (candidate.id != incumbent_.id) fs::remove(candidate.built.library, ignored);
    }
    note(entry, true);
    known_[entry.id] = entry;
    if (++since_noise_ >= kNoiseEvery) probe_noise();
  }
}

bool Sweep::done() const {
  return progress_.done >= options_.effort.evals || now() - started_ > options_.effort.seconds;
}

void Sweep::search() {
  StrategyOptions strategy_options = options_.strategy;
  // a search that learns is an island of its own in each shard; one that only lists is shared out by name
  if (strategy_options.name == "ils") strategy_options.seed += static_cast<uint64_t>(options_.shard.index);
  const auto strategy = make_strategy(space_, strategy_options);
  const bool stalls = options_.strategy.name != "exhaustive";
  progress_.planned =
      std::min<int>(options_.effort.evals, static_cast<int>(space_.points.size()) / options_.shard.count);
  while (!done() && !interrupted() && !(stalls && since_better_ >= options_.effort.stall)) {
    const auto batch = strategy->next(scores_, kBatch);
    if (batch.empty()) break;
    look_at(batch);
  }
  result_.counts = progress_.counts;
  result_.evals = progress_.done;
}

Candidate Sweep::autoscheduled(const std::string& scheduler, const std::string& problem) {
  const Stopwatch watch(result_.compile_seconds);
  return build_autoscheduled(tools_, space_, incumbent_.point, scheduler, problem, options_.folder / "objects");
}

// What Halide's own schedulers make of the kernel, against the default: a yardstick, which never wins.
void Sweep::compare_autoschedulers() {
  if (!options_.autoschedulers || measurer_.fidelity() != "native") return;
  Job asked = job_for(incumbent_);
  asked.extents = true;
  asked.verify = asked.race = false;
  asked.shapes.resize(1);
  const std::string problem = measure(incumbent_, asked).detail;
  const auto known = by_candidate(journal_.entries(), "autoscheduler");
  for (const std::string& scheduler : autoscheduler_names()) {
    if (interrupted() || known.contains(scheduler)) continue;
    Candidate candidate = autoscheduled(scheduler, problem);
    if (candidate.outcome.usable()) candidate.outcome = measure(candidate, job_for(candidate));
    note({scheduler, space_.text(incumbent_.point), "autoscheduler", 0, candidate.outcome}, false);
  }
}

Outcome Sweep::duel(const Point& challenger, const Point& holder, const std::string& stage) {
  const Candidate ours = built(challenger, "the winner"), theirs = built(holder, "what it duels with");
  Job job = job_for(ours);
  job.incumbent = theirs.built;
  job.racing = false;
  job.pairs = options_.effort.claim_pairs;
  job.seconds = options_.effort.claim_seconds;
  job.offset = 5;  // of the buffers: a win that hangs on where they lie is none
  Outcome outcome = measure(ours, job);
  note({ours.id, space_.text(challenger), stage, 0, outcome}, false);
  return outcome;
}

void Sweep::finish() {
  std::vector<std::pair<double, size_t>> order;
  for (const auto& [index, value] : scores_)
    if (value != kUnusable) order.emplace_back(value, index);
  std::sort(order.begin(), order.end());
  if (interrupted()) {
    result_.finding = Finding::interrupted;
  } else if (order.empty()) {
    result_.finding = Finding::nothing_valid;
    result_.detail = "no candidate was built, ran and answered rightly";
  } else if (measurer_.fidelity() != "native" || options_.shard.count > 1) {
    finish_untimed(order);
  } else {
    race_finalists(order);
    settle();
  }
}

// Part of a sweep claims nothing, nor does an emulator; a model only ranks.
void Sweep::finish_untimed(const std::vector<std::pair<double, size_t>>& order) {
  for (size_t i = 0; i < std::min<size_t>(order.size(), static_cast<size_t>(options_.effort.finalists)); i++)
    result_.finals.push_back(known_.at(space_.id(space_.points[order[i].second])));
  result_.winner = result_.current;
  result_.finding = Finding::looked_at;
  const double best = result_.finals[0].outcome.cost;
  if (options_.shard.count > 1 || best == 0) return;
  const auto now_in_force = known_.find(space_.id(result_.current));
  const bool better = now_in_force == known_.end() || best < kBetter * now_in_force->second.outcome.cost;
  result_.finding = better ? Finding::improved : Finding::nothing_better;
  if (better) result_.winner = space_.parse(result_.finals[0].text);
}

void Sweep::race_finalists(const std::vector<std::pair<double, size_t>>& order) {
  for (const auto& [value, index] : order) {
    const Point& point = space_.points[index];
    const std::string id = space_.id(point);
    if (interrupted() || result_.finals.size() >= static_cast<size_t>(options_.effort.finalists)) break;
    if (!known_.at(id).outcome.same_code.empty()) continue;
    if (const auto found = known_finals_.find(id); found != known_finals_.end()) {
      result_.finals.push_back(found->second);
      continue;
    }
    const Candidate candidate = built(point, "a finalist");
    Job job = job_for(candidate);
    job.racing = false;
    job.pairs = 2 * options_.effort.pairs;
    job.seconds = 2 * options_.effort.pair_seconds;
    job.verify = false;
    Entry entry{id, space_.text(point), "final", 0, measure(candidate, job)};
    note(entry, false);
    if (entry.outcome.usable()) result_.finals.push_back(entry);
  }
  std::sort(result_.finals.begin(), result_.finals.end(),
            [](const Entry& a, const Entry& b) { return a.outcome.ratio < b.outcome.ratio; });
}

// The best of the finalists against what is in force, and for the record against the default.
void Sweep::settle() {
  if (interrupted() || result_.finals.empty()) {
    result_.finding = Finding::interrupted;
    return;
  }
  result_.winner = space_.parse(result_.finals[0].text);
  const bool recorded = result_.current != incumbent_.point;
  result_.finding = recorded ? Finding::confirmed : Finding::nothing_better;
  if (result_.winner != result_.current) {
    const Outcome& versus = result_.versus_current = duel(result_.winner, result_.current, "duel");
    if (versus.usable() && versus.conclusive && versus.high < kBetter) {
      result_.finding = Finding::improved;
    } else {
      result_.detail =
          fmt::format("{} took {:.3f} of the time [{:.3f}, {:.3f}], {}", space_.text(result_.winner), versus.ratio,
                      versus.low, versus.high, versus.conclusive ? "which is no clear gain" : "inconclusive");
      result_.winner = result_.current;
    }
  }
  if (result_.winner == incumbent_.point) return;
  result_.versus_default = recorded ? duel(result_.winner, incumbent_.point, "default") : result_.versus_current;
}

Result Sweep::run() {
  std::error_code ignored;
  fs::create_directories(options_.folder / "objects", ignored);
  if (std::ofstream listed(options_.folder / "space.json"); listed) listed << space_.listed.dump() << "\n";
  Point fallback = space_.fallback;
  // where the defaults are pinned away, they are compared with at the pinned value
  if (!space_.contains(fallback))
    for (size_t k = 0; k < space_.knobs.size(); k++) {
      const bool pinned = std::all_of(space_.points.begin(), space_.points.end(),
                                      [&](const Point& p) { return p[k] == space_.points[0][k]; });
      if (pinned) fallback[k] = space_.points[0][k];
    }
  if (!space_.contains(fallback)) fallback = space_.fallback;
  result_.current = space_.contains(space_.record) ? space_.record : fallback;
  {
    const Stopwatch watch(result_.compile_seconds);
    incumbent_ = build_candidate(tools_, space_, fallback, options_.folder / "objects");
  }
  if (incumbent_.outcome.reason == Reason::infra) throw Infrastructure(incumbent_.outcome.detail);
  if (incumbent_.outcome.usable()) {
    Job job = job_for(incumbent_);
    job.race = false;
    incumbent_.outcome = measure(incumbent_, job);
  }
  if (!incumbent_.outcome.usable()) {
    result_.finding = Finding::default_wrong;
    result_.detail = fmt::format("{}: {}", name_of(incumbent_.outcome.reason), incumbent_.outcome.detail);
    return result_;
  }
  probe_noise();
  search();
  compare_autoschedulers();
  if (!interrupted()) probe_noise();
  if (!result_.noise.empty())
    result_.smallest_effect = 2 * *std::max_element(result_.noise.begin(), result_.noise.end());
  finish();
  result_.seconds = now() - started_;
  fs::remove_all(options_.folder / "objects", ignored);
  return result_;
}

}  // namespace lathe::tune
