// `lathe tune noise`, `duel` and `verify`: one question about one or two configurations.
#include <fmt/format.h>

#include <filesystem>

#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

constexpr double kWin = 0.99;

// Two configurations of a kernel, built in a folder of their own.
class Bench {
 public:
  explicit Bench(const Request& request, const std::string& kernel)
      : request_(request),
        tools_(tools_of(request)),
        instance_(find_instance(kernel, row_of(request))),
        space_(list_space(tools_, instance_.kernel, instance_.axis, row_of(request))),
        measurer_(measurer_of(request, tools_)),
        options_(sweep_options(request, tools_, space_, instance_)) {
    options_.folder += "-bench";
    fs::create_directories(options_.folder);
  }
  ~Bench() {
    std::error_code ignored;
    fs::remove_all(options_.folder, ignored);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  const Space& space() const { return space_; }
  Measurer& measurer() { return *measurer_; }
  // "default", "record", or "knob=value ..." over the defaults.
  Point point(const std::string& text) const {
    if (text.empty() || text == "default") return space_.fallback;
    return text == "record" ? space_.record : space_.parse(text);
  }
  Candidate build(const Point& point, const std::string& suffix) {
    Candidate candidate = build_candidate(tools_, space_, point, options_.folder / suffix);
    if (!candidate.outcome.usable())
      throw Infrastructure(
          fmt::format("{}: {}: {}", space_.text(point), name_of(candidate.outcome.reason), candidate.outcome.detail));
    return candidate;
  }
  Job job(const Candidate& candidate, const Candidate& incumbent) const {
    Job job = job_of(space_, options_, candidate, incumbent);
    job.racing = false;
    job.pairs = request_.pairs > 0 ? request_.pairs : options_.effort.claim_pairs;
    job.seconds = options_.effort.claim_seconds;
    return job;
  }

 private:
  const Request& request_;
  Tools tools_;
  Instance instance_;
  Space space_;
  std::unique_ptr<Measurer> measurer_;
  SweepOptions options_;
};

void print_outcome(const std::string& what, const Outcome& o) {
  if (!o.usable())
    fmt::print("{}: {} {}\n", what, name_of(o.reason), o.detail);
  else
    fmt::print("{}: {:.4f} [{:.4f}, {:.4f}], {} fast of {} pairs{}\n", what, o.ratio, o.low, o.high, o.fast, o.pairs,
               o.conclusive ? "" : ": inconclusive");
  std::fflush(stdout);
}

}  // namespace

int command_noise(const Request& request) {
  Bench bench(request, request.kernels.at(0));
  const Candidate one = bench.build(bench.space().fallback, "a"), other = bench.build(bench.space().fallback, "b");
  int wins = 0, inconclusive = 0;
  for (int i = 0; i < request.repeats; i++) {
    Job job = bench.job(one, other);
    job.verify = false;
    job.offset = i % 16;
    const Outcome outcome = bench.measurer().measure(bench.space(), one, job);
    if (outcome.reason == Reason::infra) throw Infrastructure(outcome.detail);
    print_outcome("the default against itself", outcome);
    wins += outcome.conclusive && outcome.high < kWin;
    inconclusive += !outcome.conclusive;
  }
  fmt::print("{} of {} would have been called a gain; {} inconclusive\n", wins, request.repeats, inconclusive);
  return 0;
}

int command_duel(const Request& request) {
  Bench bench(request, request.kernels.at(0));
  const Candidate a = bench.build(bench.point(request.text_a), "a"), b = bench.build(bench.point(request.text_b), "b");
  const Outcome outcome = bench.measurer().measure(bench.space(), a, bench.job(a, b));
  if (outcome.reason == Reason::infra) throw Infrastructure(outcome.detail);
  print_outcome(fmt::format("{} over {}", bench.space().text(a.point), bench.space().text(b.point)), outcome);
  if (!outcome.usable()) return 3;
  return outcome.conclusive && outcome.high < kWin ? 0 : 5;
}

int command_verify(const Request& request) {
  Bench bench(request, request.kernels.at(0));
  const Candidate candidate = bench.build(bench.point(request.text_a), "a");
  Job job = bench.job(candidate, candidate);
  job.race = false;
  const Outcome outcome = bench.measurer().measure(bench.space(), candidate, job);
  if (outcome.reason == Reason::infra) throw Infrastructure(outcome.detail);
  fmt::print("{} {}: {}{}\n", bench.space().name(), bench.space().text(candidate.point), name_of(outcome.reason),
             outcome.usable() ? fmt::format(", {:.2f} epsilons at worst", outcome.worst) : ": " + outcome.detail);
  return outcome.usable() ? 0 : 3;
}

}  // namespace lathe::tune
