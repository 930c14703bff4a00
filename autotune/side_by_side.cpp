#include "side_by_side.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace lathe::tune {

void side_by_side(size_t count, int jobs, const std::function<void(size_t)>& work) {
  std::vector<std::exception_ptr> failures(count);
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (int j = 0; j < std::max(1, jobs); j++)
    workers.emplace_back([&] {
      for (size_t i; (i = next++) < count;) try {
          work(i);
        } catch (...) {
          failures[i] = std::current_exception();
        }
    });
  for (std::thread& worker : workers) worker.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace lathe::tune
