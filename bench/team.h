// A few threads that do the same thing at the same time: what the probes of the machine need.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace lathe::bench {

class Team {
 public:
  // One is the caller itself. More are threads of their own, each on its own CPU: left alone, the system may put two on
  // one for the first fraction of a second, which is as long as a whole measurement.
  explicit Team(int threads) {
    if (threads < 2) return;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    int cpu = -1;
    for (int i = 0; i < threads; i++) {
      members_.emplace_back([this, i] { serve(i); });
      for (int tries = 0; tries < CPU_SETSIZE; tries++) {
        cpu = (cpu + 1) % CPU_SETSIZE;
        if (CPU_ISSET(cpu, &allowed)) break;
      }
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      pthread_setaffinity_np(members_.back().native_handle(), sizeof one, &one);
    }
  }
  ~Team() {
    work_ = nullptr;
    start();
    for (auto& member : members_) member.join();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return members_.empty() ? 1 : static_cast<int>(members_.size()); }

  // Runs work(0) .. work(size - 1) and returns when all are done.
  void run(const std::function<void(int)>& work) {
    if (members_.empty()) return work(0);
    work_ = &work;
    busy_.store(size());
    start();
    for (int left = busy_.load(); left != 0; left = busy_.load()) busy_.wait(left);
  }

 private:
  void start() {
    round_.fetch_add(1);
    round_.notify_all();
  }
  void serve(int index) {
    for (int seen = 0;;) {
      round_.wait(seen);
      seen = round_.load();
      if (work_ == nullptr) return;
      (*work_)(index);
      if (busy_.fetch_sub(1) == 1) busy_.notify_one();
    }
  }

  const std::function<void(int)>* work_ = nullptr;
  std::atomic<int> round_{0}, busy_{0};
  std::vector<std::thread> members_;
};

}  // namespace lathe::bench
