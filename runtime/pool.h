// A pool of workers that starts when first used, keeps to the caller's cpu set and survives fork.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lathe {

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }
  // task(i) for every i in [0, n), on up to threads() threads, the calling one included: fewer where the system refuses
  // to start one, which is then asked for again by the next call.
  void run(int n, const std::function<void(int)>& task);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable wake, done;
    const std::function<void(int)>* task = nullptr;
    int n = 0;
    std::atomic<int> next{0}, active{0};
    std::atomic<uint64_t> generation{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> workers;
  };
  static void work(Shared& shared);
  static void take(Shared& shared, const std::function<void(int)>& task, int n);
  void start();
  void leave_to_the_parent();

  int threads_;
  pid_t owner_ = 0;
  std::unique_ptr<Shared> shared_;
};

// Processors that the calling thread may run on.
int allowed_processors();

}  // namespace lathe
