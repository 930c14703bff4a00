// Work that needs no quiet machine, by several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace lathe::tune {

// Calls work(0) to work(count - 1), as many at once as there are jobs, and at least one. After all of them have ended
// the exception of the first that threw is thrown again.
void side_by_side(size_t count, int jobs, const std::function<void(size_t)>& work);

}  // namespace lathe::tune
