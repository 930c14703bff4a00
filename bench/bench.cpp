#include "bench.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <thread>

#include "../autotune/command/static_table.h"
#include "collector.h"
#include "machine.h"
#include "results.h"
#include "session.h"

namespace lathe::bench {

namespace {

#ifdef LATHE_SOURCE_DIR
constexpr const char* kSourceDir = LATHE_SOURCE_DIR;
#else
constexpr const char* kSourceDir = ".";
#endif

void run_row(benchmark::State& state, const std::string& name, const std::function<Measured()>& measure) {
  fmt::print(stderr, "{} ...\n", name);
  Measured row;
  try {
    row = measure();
  } catch (const std::exception& error) {
    row.error = fmt::format("skipped: {}", error.what());
  }
  if (!row.error.empty()) {
    fmt::print(stderr, "  {}\n", row.error);
    state.SkipWithError(row.error.c_str());
    return;
  }
  for ([[maybe_unused]] auto once : state) state.SetIterationTime(row.seconds);
  for (const auto& [key, value] : row.counters) state.counters[key] = value;
  state.SetLabel(row.label);
  fmt::print(stderr, "  {}, {:.1f} useful GFLOP/s\n", duration(row.seconds), row.counters["useful_gflops"]);
}

struct BenchRow {
  std::string name;
  Case what;
  std::function<Measured()> measure;
};

void register_row(const BenchRow& row) {
  const bool short_one = row.what.op == "decode" && row.what.shape.batch == 1;
  benchmark::RegisterBenchmark(row.name.c_str(),
                               [row](benchmark::State& state) { run_row(state, row.name, row.measure); })
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(short_one ? benchmark::kMicrosecond : benchmark::kMillisecond);
}

std::vector<const Peer*> present_peers(const Options& options) {
  std::vector<const Peer*> present;
  if (!options.peers && !options.torch) return present;
  for (const Peer& peer : known_peers()) {
    if (peer.name == "torch" && !options.torch) continue;
    const std::string why = absence(peer, options.folders);
    if (why.empty())
      present.push_back(&peer);
    else
      fmt::print(stderr, "peer:{} skipped: {}\n", peer.name, why);
  }
  return present;
}

std::vector<BenchRow> rows_of(Session& session, const Options& options) {
  std::vector<BenchRow> rows;
  const auto peers = present_peers(options);
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  for (const Case& c : cases(options.threads, options.smoke)) {
    const std::string name = case_name(c);
    const std::string obstacle = c.threads > cpus              ? fmt::format("this machine has {} CPU(s)", cpus)
                                 : 2 * state_bytes(c) > memory ? "this machine has too little memory"
                                                               : "";
    if (!obstacle.empty()) {
      fmt::print(stderr, "lathe/{} skipped: {}\n", name, obstacle);
      continue;
    }
    // Peers first: lathe's own row then has its ratio to each.
    for (const Peer* peer : peers)
      if (races(*peer, c))
        rows.push_back({fmt::format("peer:{}/{}", peer->name, name), c,
                        [&session, peer, c] { return session.measure_peer(*peer, c); }});
    rows.push_back({"lathe/" + name, c, [&session, c] { return session.measure_lathe(c); }});
  }
  // Here and not by Google Benchmark, which puts its own words behind a name, where a $ would miss them.
  const std::regex wanted(options.filter);
  std::erase_if(rows, [&](const BenchRow& row) { return !std::regex_search(row.name, wanted); });
  return rows;
}

void describe_machine(Session& session) {
  double best = 1;
  for (int i = 0; i < 2000; i++) best = std::min(best, session.probe(1).seconds(1));
  benchmark::AddCustomContext("cpu_model", cpu_model());
  benchmark::AddCustomContext("cpu_features", cpu_features());
  benchmark::AddCustomContext("cpus", std::to_string(std::thread::hardware_concurrency()));
  benchmark::AddCustomContext("fma_peak_gflops", fmt::format("{:.1f}", 1e-9 * session.probe(1).flops() / best));
  benchmark::AddCustomContext("fma_instructions", session.probe(1).instructions());
}

bool write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.flush();
  if (!out) fmt::print(stderr, "lathe bench: {} could not be written\n", file);
  return static_cast<bool>(out);
}

bool publish(const Options& options, const std::string& json) {
  const Results results = read_results(json);
  fmt::print("\n{}", as_table(results));
  bool well = options.json.empty() || write_file(options.json, json);
  if (!options.html.empty()) well = write_file(options.html, as_html(results)) && well;
  std::string why;
  if (options.update_readme && !rewrite_between_markers(options.readme, as_markdown(results), &why)) {
    fmt::print(stderr, "lathe bench: {}\n", why);
    return false;
  }
  return well;
}

int run(const Options& options) {
  Session session(options);
  const auto rows = rows_of(session, options);
  if (rows.empty()) {
    fmt::print(stderr, "lathe bench: no name matches {}; --list prints them\n", options.filter);
    return 2;
  }
  for (const BenchRow& row : rows) {
    if (options.list)
      fmt::print("{}\n", row.name);
    else
      register_row(row);
  }
  if (options.list) return 0;
  int count = 1;
  std::string program = "lathe bench";
  char* words[] = {program.data(), nullptr};
  benchmark::Initialize(&count, words);
  describe_machine(session);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector, "all");
  const bool published = publish(options, collector.text());
  if (session.failed()) fmt::print(stderr, "lathe bench: WRONG ANSWERS, see above\n");
  return published && !session.failed() ? 0 : 1;
}

// Peers that were built before something of theirs changed may misread what they are given.
bool fetched(const PeerFolders& folders) {
  namespace fs = std::filesystem;
  const fs::path tried = folders.cache / "tried";
  if (!fs::exists(tried)) return false;
  std::error_code ignored;  // without their sources peers stay as they are
  const fs::recursive_directory_iterator sources(folders.sources, ignored);
  const auto then = fs::last_write_time(tried);
  return std::none_of(begin(sources), end(sources), [then](const fs::directory_entry& source) {
    return source.is_regular_file() && source.last_write_time() > then;
  });
}

void fetch_peers(const Options& options) {
  if (fetched(options.folders)) return;
  fmt::print(stderr, "fetching the peers into {} ...\n", options.folders.cache.string());
  const std::string command = fmt::format("'{}/fetch.sh' '{}' 1>&2{}", options.folders.sources.string(),
                                          options.folders.cache.string(), options.torch ? " --torch" : "");
  if (std::system(command.c_str()) != 0) fmt::print(stderr, "some peers could not be fetched\n");
}

}  // namespace

}  // namespace lathe::bench

int lathe_bench_main(int argc, char** argv) {
  lathe::bench::Options options;
  lathe::tune::StaticOptions still;
  bool by_model = false;
  const std::string sources = std::string(lathe::bench::kSourceDir) + "/bench/peers";
  std::string cache = std::string(lathe::bench::kSourceDir) + "/build/peers";
  options.readme = std::string(lathe::bench::kSourceDir) + "/README.md";
  CLI::App app("Times lathe's kernels against this machine's peaks and against other implementations.", "lathe bench");
  app.add_option("--filter", options.filter, "run the rows whose names match this regular expression");
  app.add_option("--threads", options.threads, "threads of each row (rows named for two have two by default)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--peers", options.peers, "race the other implementations too; fetched first when they are not there");
  app.add_flag("--torch", options.torch, "PyTorch among them: a large download");
  app.add_option("--json", options.json, "write the results here");
  app.add_option("--html", options.html, "write a page with charts here");
  app.add_flag("--update-readme", options.update_readme, "rewrite the table of speed in the README");
  app.add_option("--readme", options.readme, "the README")->capture_default_str();
  app.add_flag("--quick", options.quick, "24 pairs instead of 100, and 5 seconds at most for them");
  app.add_option("--seconds", options.seconds, "at most this long for one pair")->check(CLI::PositiveNumber);
  app.add_flag("--list", options.list, "print the names and stop");
  app.add_flag("--smoke", options.smoke, "small shapes, to test the benchmark itself");
  app.add_option("--peers-dir", cache, "where the peers are kept")->envname("LATHE_PEERS_DIR")->capture_default_str();
  auto* model =
      app.add_flag("--static", by_model, "time nothing: what llvm-mca, or of CUDA ptxas, says of a row's kernels");
  app.add_option("--row", still.row, "the row of --static (default: the best that this processor runs)")->needs(model);
  app.add_option("--tune-for", still.tune_for, "the micro-architecture whose records --static takes")->needs(model);
  app.add_option("--mcpu", still.cpus, "processors of --static, as llvm-mca names them, or sm_75,sm_90")
      ->delimiter(',')
      ->needs(model);
  app.add_flag("--brief", still.brief, "of a CUDA row only what ptxas says, and no listing of instructions")
      ->needs(model);
  app.add_option("--beside", still.beside, "a file with the body of a loop, for --static to rate beside")->needs(model);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.peers = options.peers || options.torch;
  options.folders = {sources, cache};
  still.filter = options.filter;
  still.json = options.json;
  if (options.peers && !options.list) lathe::bench::fetch_peers(options);
  try {
    return by_model ? lathe::tune::static_table(still) : lathe::bench::run(options);
  } catch (const std::regex_error&) {
    fmt::print(stderr, "lathe bench: {} is not a regular expression\n", options.filter);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lathe bench: {}\n", error.what());
  }
  return 2;
}
