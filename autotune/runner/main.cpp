// lathe-runner: calls kernels that nobody has called before, so that what they do happens here. Reads a job from its
// standard input, writes lines that start with "@lathe ". Small, and built for any machine that is to be measured.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <iterator>

#include "../../bench/pairs.h"
#include "../statistics.h"
#include "tiles.h"
#include "verify.h"
#include "whole.h"

namespace lathe::tune {

namespace {

using Json = nlohmann::json;

constexpr double kLoser = 1.05, kHopeless = 2;
constexpr size_t kFewestPairs = 8;  // of which an interval says anything

void say(const Json& line) {
  fmt::print("\n{}{}\n", kLineStart, line.dump());
  std::fflush(stdout);
}

Kernel load(const Built& built) {
  void* library = dlopen(built.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  if (built.pushed) unlink(built.library.c_str());
  auto* kernel = reinterpret_cast<Kernel>(dlsym(library, built.symbol.c_str()));
  if (!kernel) throw std::runtime_error(dlerror());
  return kernel;
}

void stay_on(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

Setting timed(const Job& job, const Shape& shape) {
  Setting setting{.shape = shape, .in_place = true, .guarded = false, .offset = job.offset};
  return setting;
}

class Contestant : public bench::Contestant {
 public:
  Contestant(const Job& job, const Built& built, Kernel kernel, const Shape& shape)
      : tiles_(job, built, timed(job, shape)), kernel_(kernel) {}
  double seconds(int repeats) override {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; i++) tiles_.call(kernel_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
           static_cast<double>(tiles_.tokens());
  }
  int64_t tokens() const { return tiles_.tokens(); }

 private:
  Tiles tiles_;
  Kernel kernel_;
};

bool verified(const Job& job, Kernel kernel, const char* when) {
  const Verdict verdict = verify(job, job.candidate, kernel);
  if (verdict.right) {
    say({{"event", "verified"}, {"when", when}, {"worst", verdict.worst}, {"settings", verdict.settings}});
    return true;
  }
  say({{"event", verdict.stable ? "wrong" : "unstable"}, {"when", when}, {"detail", verdict.text}});
  return false;
}

// Settled: what is clearly slower need not be known better.
bool lost(const std::vector<double>& ratios) {
  if (!ratios.empty() && ratios[0] > kHopeless) return true;
  return ratios.size() >= kFewestPairs && bootstrap(ratios, 1, 200).low > kLoser;
}

void race_all(const Job& job, Kernel candidate, Kernel incumbent) {
  for (size_t i = 0; i < job.shapes.size(); i++) {
    Contestant ours(job, job.candidate, candidate, job.shapes[i]), theirs(job, job.incumbent, incumbent, job.shapes[i]);
    bench::PairOptions options;
    options.wanted = job.pairs;
    options.seconds = job.seconds;
    // seconds() gives those of a token, of which a call deals with many
    options.shortest /= static_cast<double>(std::min(ours.tokens(), theirs.tokens()));
    if (job.racing) options.settled = lost;
    const bench::PairResult result = race(theirs, ours, options);
    say({{"event", "raced"},
         {"shape", job.shapes[i]},
         {"ratios", result.ratios},
         {"pairs", result.pairs},
         {"conclusive", result.conclusive},
         {"ns", 1e9 * result.best_b},
         {"ns_incumbent", 1e9 * result.best_a}});
    if (job.racing && lost(result.ratios)) return;
  }
}

int run_whole(const WholeJob& job) {
  stay_on(job.cpu);
  if (race_whole(job, say)) say({{"event", "done"}});
  return 0;
}

int run(const Job& job) {
  stay_on(job.cpu);
  if (job.extents)
    for (const Shape& shape : job.shapes)
      say({{"event", "extents"}, {"arguments", Tiles(job, job.candidate, timed(job, shape)).extents()}});
  if (!job.verify && !job.race) {
    say({{"event", "done"}});
    return 0;
  }
  const Kernel candidate = load(job.candidate);
  if (job.verify && !verified(job, candidate, "before")) return 0;
  if (job.race) {
    race_all(job, candidate, load(job.incumbent));
    if (job.verify && !verified(job, candidate, "after")) return 0;
  }
  say({{"event", "done"}});
  return 0;
}

}  // namespace

}  // namespace lathe::tune

int main() {
  try {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    const nlohmann::json job = nlohmann::json::parse(text);
    if (job.contains("cases")) return lathe::tune::run_whole(job.get<lathe::tune::WholeJob>());
    return lathe::tune::run(job.get<lathe::tune::Job>());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "lathe-runner: out of memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "lathe-runner: {}\n", error.what());
  }
  return 1;
}
