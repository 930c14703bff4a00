#include "pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>

namespace lathe {

int allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

Pool::~Pool() {
  if (!shared_) return;
  if (owner_ != getpid()) {
    leave_to_the_parent();
    return;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->wake.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

// The workers stayed in the parent of a fork. Their handles must not even be let go of here: the memory behind one may
// by now be that of another thread.
void Pool::leave_to_the_parent() { static_cast<void>(shared_.release()); }

void Pool::start() {
  if (shared_ && owner_ != getpid()) leave_to_the_parent();
  if (!shared_) {
    auto shared = std::make_unique<Shared>();
    shared->workers.reserve(static_cast<size_t>(threads_ - 1));
    shared_ = std::move(shared);
    owner_ = getpid();
  }
  try {
    while (shared_->workers.size() + 1 < static_cast<size_t>(threads_))
      shared_->workers.emplace_back([shared = shared_.get()] { work(*shared); });
  } catch (const std::system_error&) {
    // no more threads for now: those that there are take all the tasks
  } catch (const std::bad_alloc&) {
  }
}

void Pool::take(Shared& shared, const std::function<void(int)>& task, int n) {
  for (int i = shared.next.fetch_add(1); i < n; i = shared.next.fetch_add(1)) task(i);
}

namespace {

// Work often comes again within microseconds, while sleeping and waking cost as much: look a few times first.
template <typename Condition>
void spin_until(Condition condition) {
  for (int i = 0; i < 2000 && !condition(); i++) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
  }
}

}  // namespace

void Pool::work(Shared& shared) {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return shared.stop || shared.generation != seen; };
    spin_until(called);
    std::unique_lock lock(shared.mutex);
    shared.wake.wait(lock, called);
    if (shared.stop) return;
    seen = shared.generation;
    if (!shared.task) continue;
    const auto* task = shared.task;
    const int n = shared.n;
    shared.active++;
    lock.unlock();
    take(shared, *task, n);
    lock.lock();
    if (--shared.active == 0) shared.done.notify_all();
  }
}

void Pool::run(int n, const std::function<void(int)>& task) {
  if (n <= 1 || threads_ <= 1) {
    for (int i = 0; i < n; i++) task(i);
    return;
  }
  start();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->task = &task;
    shared_->n = n;
    shared_->next = 0;
    shared_->generation++;
  }
  shared_->wake.notify_all();
  take(*shared_, task, n);
  spin_until([&] { return shared_->active == 0; });
  std::unique_lock lock(shared_->mutex);
  shared_->done.wait(lock, [&] { return shared_->active == 0; });
  shared_->task = nullptr;
}

}  // namespace lathe
