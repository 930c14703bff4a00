#include "whole.h"

#include <dlfcn.h>

#include <memory>
#include <stdexcept>

#include "../../bench/check.h"
#include "../../bench/contestant.h"
#include "../../bench/pairs.h"
#include "../../bench/problem.h"

namespace lathe::tune {

namespace {

using Open = bench::Solver* (*)(bench::Problem*, std::string*);

std::unique_ptr<bench::Solver> open_in(const std::string& library, bench::Problem& problem) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw std::runtime_error(dlerror());
  const auto open = reinterpret_cast<Open>(dlsym(handle, "lathe_judged_open"));
  if (!open) throw std::runtime_error(library + " was not made to be judged");
  std::string why;
  std::unique_ptr<bench::Solver> solver(open(&problem, &why));
  if (!solver) throw std::runtime_error(library + ": " + why);
  return solver;
}

bench::Case case_of(const WholeCase& c) {
  bench::Shape shape{"", 1, c.tokens, c.heads, c.heads, c.D, 0, c.V};
  return {shape,       c.op, "plain", c.map, "f32", c.layout == "BTHD" ? bench::Layout::kBthd : bench::Layout::kBhtd,
          c.normalise, 1};
}

}  // namespace

bool race_whole(const WholeJob& job, const std::function<void(const nlohmann::json&)>& say) {
  for (const WholeCase& c : job.cases) {
    bench::Problem ours(case_of(c)), theirs(case_of(c));
    const auto candidate = open_in(job.candidate, ours), incumbent = open_in(job.incumbent, theirs);
    for (auto* solver : {candidate.get(), incumbent.get()}) {
      solver->seconds(1);
      const auto verdict = check_output(solver == candidate.get() ? ours : theirs, solver->output(), c.op, 1);
      if (verdict.right) continue;
      say({{"event", "wrong"}, {"detail", (solver == candidate.get() ? "" : "incumbent: ") + verdict.text}});
      return false;
    }
    bench::PairOptions options;
    options.wanted = job.pairs;
    options.seconds = job.seconds;
    const bench::PairResult result = race(*incumbent, *candidate, options);
    const double per_token = 1e9 / static_cast<double>(c.tokens * c.heads);
    say({{"event", "raced"},
         {"case", bench::case_name(case_of(c))},
         {"ratios", result.ratios},
         {"pairs", result.pairs},
         {"conclusive", result.conclusive},
         {"ns", per_token * result.best_b},
         {"ns_incumbent", per_token * result.best_a}});
  }
  return true;
}

}  // namespace lathe::tune
