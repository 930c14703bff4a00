#include "machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <mutex>
#include <thread>

namespace ptx {

namespace {

constexpr size_t kWarp = 32;
constexpr std::byte kUnwritten{0xFF};  // NaN, as in all memory that was allocated and not written

Index place(uint64_t at, const Index& of) {
  return {static_cast<uint32_t>(at % of[0]), static_cast<uint32_t>(at / of[0] % of[1]),
          static_cast<uint32_t>(at / of[0] / of[1])};
}

// Runs blocks, one after the other.
class Worker {
 public:
  Worker(const Kernel& kernel, const Grid& grid, uint64_t dynamic_shared_bytes,
         const std::vector<std::byte>& parameters, const Ranges& global, bool counts)
      : kernel_(kernel), grid_(grid), threads_(volume(grid.threads)) {
    block_.global = &global;
    block_.parameters = parameters;
    block_.code = kernel.code.data();
    block_.shared.resize(kernel.shared_bytes + dynamic_shared_bytes);
    block_.last.resize(kernel.code.size());
    block_.touched.counts = counts;
  }

  // Of the block that ran last.
  Touched& touched() { return block_.touched; }

  std::optional<Failure> run(uint64_t index) {
    const Index at = place(index, grid_.blocks);
    block_.shared.begin();
    block_.touched.read.clear(), block_.touched.written.clear();
    for (size_t k = 0; k < threads_.size(); k++) {
      threads_[k].index = static_cast<int>(k);
      begin(threads_[k], at, place(k, grid_.threads));
    }
    size_t n = 0;
    try {
      do
        for (n = 0; n < threads_.size(); n++) run(threads_[n]);
      while (pass_barrier(n));
    } catch (const Fault& fault) {
      const Index thread = place(n, grid_.threads);
      return Failure{fault.status, fmt::format("{}: block {},{},{} thread {},{},{}, line {}: {}: {}", kernel_.name,
                                               at[0], at[1], at[2], thread[0], thread[1], thread[2], fault.line,
                                               fault.what(), kernel_.lines[static_cast<size_t>(fault.line) - 1])};
    }
    return std::nullopt;
  }

 private:
  void begin(Thread& t, const Index& block, const Index& thread) {
    t.block = &block_;
    t.next = kernel_.code.data();
    t.barrier.reset();
    t.ended = false;
    t.slots = kernel_.slots;
    for (uint32_t d = 0; d < 3; d++) {
      t.slots[kThread + d] = thread[d];
      t.slots[kThreads + d] = grid_.threads[d];
      t.slots[kBlock + d] = block[d];
      t.slots[kBlocks + d] = grid_.blocks[d];
    }
    t.local.assign(kernel_.local_bytes, kUnwritten);
  }

  static void run(Thread& t) {
    if (t.ended) return;
    const Instruction* i = t.next;
    while (i) i = (t.slots[i->guard] != 0) == i->wanted ? i->run(t, *i) : i + 1;
  }

  // False once all threads have ended. Those that have are not waited for. Those that wait do so at one barrier, and
  // those of a warp at one instruction; n is the thread that does not.
  bool pass_barrier(size_t& n) {
    const Thread* first = nullptr;
    const Thread* of_warp = nullptr;
    for (n = 0; n < threads_.size(); n++) {
      const Thread& t = threads_[n];
      if (n % kWarp == 0) of_warp = nullptr;
      if (t.ended) continue;
      if (!first) first = &t;
      if (!of_warp) of_warp = &t;
      const int line = (t.next - 1)->line;
      if (t.barrier != first->barrier) throw Fault(kLaunchFailed, line, "threads wait at different barriers for ever");
      if (t.next != of_warp->next) throw Fault(kLaunchFailed, line, "the threads of a warp have parted");
    }
    for (Thread& t : threads_) t.barrier.reset();
    block_.shared.pass_barrier();
    return first;
  }

  const Kernel& kernel_;
  const Grid& grid_;
  Block block_;
  std::vector<Thread> threads_;
};

// PTX rounds to the nearest and keeps denormal numbers, whatever the caller has set.
class Rounding {
 public:
  Rounding() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~Rounding() { std::fesetenv(&before_); }
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;

 private:
  std::fenv_t before_{};
};

}  // namespace

std::optional<Failure> run(const Kernel& kernel, const Grid& grid, uint64_t dynamic_shared_bytes,
                           const std::vector<std::byte>& parameters, const Ranges& global, Moved& moved) {
  const uint64_t blocks = volume(grid.blocks);
  std::atomic<uint64_t> next{0}, failed{blocks};
  std::mutex mutex;
  std::optional<Failure> first;
  Touched all;
  // blocks are begun in their order, so whatever comes before one that fails is run too
  const auto work = [&] {
    const Rounding rounding;
    Worker worker(kernel, grid, dynamic_shared_bytes, parameters, global, moved.counts);
    for (uint64_t block; (block = next++) < failed.load();) {
      std::optional<Failure> failure = worker.run(block);
      if (!failure && !moved.counts) continue;
      const std::lock_guard lock(mutex);
      Touched& touched = worker.touched();
      moved.by_blocks += kSector * (touched.read.size() + touched.written.size());
      all.read.merge(touched.read), all.written.merge(touched.written);
      if (!failure) continue;
      if (block < failed.load()) {
        failed = block;
        first = std::move(failure);
      }
    }
  };
  std::vector<std::jthread> others;
  const uint64_t workers = std::min<uint64_t>(std::max(std::thread::hardware_concurrency(), 1U), blocks);
  for (uint64_t n = 1; n < workers; n++) others.emplace_back(work);
  work();
  others.clear();
  moved.by_launches += kSector * (all.read.size() + all.written.size());
  return first;
}

}  // namespace ptx
