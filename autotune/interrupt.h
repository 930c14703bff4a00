// Ctrl-C: the first one asks for an end at the next whole candidate, the second one ends at once, children first.
#pragma once

#include <sys/types.h>

namespace lathe::tune {

// Of SIGINT and SIGTERM, for the rest of the process.
void watch_interrupts();
bool interrupted();

// A child's process group, killed with the process while this lives.
class Group {
 public:
  explicit Group(pid_t group);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

 private:
  int slot_;
};

}  // namespace lathe::tune
