#include "session.h"

#include <fmt/format.h>

#include "check.h"

namespace lathe::bench {

namespace {

// States that fit no cache are raced with the memory instead of the multipliers.
constexpr double kBeyondCaches = 512e6;

void note_pair(Measured& row, const std::string& prefix, const PairResult& pair) {
  row.counters[prefix + "pairs"] = pair.fast_pairs;
  row.counters[prefix + "conclusive"] = pair.conclusive ? 1 : 0;
}

}  // namespace

Session::Session(const Options& options) : options_(options) {
  pairs_.seconds = options.seconds;
  if (options.quick || options.smoke) pairs_ = {24, std::min(options.seconds, options.smoke ? 0.5 : 5.0)};
}

FmaProbe& Session::probe(int threads) {
  auto& probe = probes_[threads];
  if (probe == nullptr) probe = std::make_unique<FmaProbe>(threads);
  return *probe;
}

std::string Session::wrong(const std::string& text) {
  failed_ = true;
  return text;
}

std::unique_ptr<LatheCall> Session::open_checked(Problem& problem, std::string* error) {
  std::string why;
  auto call = LatheCall::open(problem, &why);
  if (call == nullptr) {
    *error = "skipped: " + why;
    return nullptr;
  }
  // Twice, so that a state that was not stored shows.
  call->seconds(2);
  const int steps = problem.what.op == "decode" ? 2 : 1;
  if (!call->failure().empty()) {
    *error = wrong("failed: " + call->failure());
  } else if (const auto verdict = check_output(problem, call->output(), problem.what.op, steps); !verdict.right) {
    *error = wrong(verdict.text);
  }
  if (!error->empty()) return nullptr;
  return call;
}

Session::Live& Session::live(const Case& c) {
  const std::string name = case_name(c);
  if (live_ != nullptr && live_name_ == name) return *live_;
  live_ = nullptr;  // frees the last case's memory before the next one's is taken
  live_ = std::make_unique<Live>(c);
  live_name_ = name;
  live_->call = open_checked(live_->problem, &live_->error);
  return *live_;
}

void Session::race_machine(Live& live, Measured& row) {
  const Case& c = live.problem.what;
  if (c.op == "decode" && state_bytes(c) > kBeyondCaches) {
    StreamProbe stream(live.problem.state.floats(), static_cast<size_t>(state_bytes(c)) / sizeof(float), c.threads);
    const PairResult pair = race(*live.call, stream, pairs_);
    row.seconds = pair.best_a;
    row.counters["stream_fraction"] = pair.ratio;
    row.counters["stream_gbytes"] = 2e-9 * state_bytes(c) / pair.best_b;
    row.counters["gbytes"] = 2e-9 * state_bytes(c) / pair.best_a;
    note_pair(row, "", pair);
    return;
  }
  FmaProbe& fma = probe(c.threads);
  const PairResult pair = race(*live.call, fma, pairs_);
  const double actual = actual_flops(c, live.call->chunk());
  row.seconds = pair.best_a;
  row.counters["fma_peak_gflops"] = 1e-9 * fma.flops() / pair.best_b;
  row.counters["peak_fraction"] = useful_flops(c) / fma.flops() * pair.ratio;
  row.counters["peak_fraction_best"] = useful_flops(c) / fma.flops() * pair.ratio_best;
  row.counters["actual_fraction"] = actual / fma.flops() * pair.ratio;
  note_pair(row, "", pair);
}

void Session::race_baseline(Live& live, Measured& row) {
  const Case& c = live.problem.what;
  const auto against = baseline(c);
  if (!against) return;
  Problem problem(against->base);
  std::string error;
  const auto base = open_checked(problem, &error);
  if (base == nullptr) {
    fmt::print(stderr, "  no {}: {}\n", against->counter, error);
    return;
  }
  const PairResult pair = race(*live.call, *base, pairs_);
  row.counters[against->counter] = pair.ratio;
  note_pair(row, against->counter + "_", pair);
  if (c.threads < 2) return;
  const PairResult scaling = race(probe(c.threads), probe(1), pairs_);
  row.counters["fma_scaling"] = probe(c.threads).flops() / probe(1).flops() * scaling.ratio;
  note_pair(row, "fma_scaling_", scaling);
}

Measured Session::measure_lathe(const Case& c) {
  Live& now = live(c);
  Measured row;
  row.error = now.error;
  if (!row.error.empty()) return row;
  race_machine(now, row);
  race_baseline(now, row);
  row.counters["useful_gflops"] = 1e-9 * useful_flops(c) / row.seconds;
  row.counters["chunk"] = now.call->chunk();
  if (c.op == "decode") row.counters["us_per_token"] = 1e6 * row.seconds / static_cast<double>(c.shape.batch);
  for (const auto& [name, pair] : now.peers) {
    row.counters["vs_" + name] = pair.ratio;
    row.counters["vs_" + name + "_best"] = pair.ratio_best;
    note_pair(row, "vs_" + name + "_", pair);
  }
  row.label = fmt::format("{}, record {}", now.call->target(), now.call->note());
  if (!now.call->failure().empty()) row.error = wrong("failed: " + now.call->failure());
  return row;
}

Measured Session::measure_peer(const Peer& peer, const Case& c) {
  Live& now = live(c);
  Measured row;
  std::string why;
  const auto solver = open_peer(peer, options_.folders, now.problem, &why);
  if (solver == nullptr) {
    row.error = "skipped: " + why;
    return row;
  }
  solver->seconds(1);
  const std::string op = peer.instead.empty() ? c.op : peer.instead;
  if (const auto verdict = check_output(now.problem, solver->output(), op, 1); !verdict.right) {
    row.error = wrong(verdict.text);
    return row;
  }
  Contestant& other = now.call != nullptr ? static_cast<Contestant&>(*now.call) : probe(c.threads);
  const PairResult pair = race(other, *solver, pairs_);
  row.seconds = pair.best_b;
  row.label = solver->note();
  row.counters["useful_gflops"] = 1e-9 * useful_flops(c) / pair.best_b;
  if (now.call != nullptr) now.peers[peer.name] = pair;
  note_pair(row, "", pair);
  return row;
}

}  // namespace lathe::bench
