// One command in a session of its own, with limits, so that whatever it does stays with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::tune {

struct Limits {
  double seconds = 60;                  // of wall time, counted from the start of the command
  uint64_t memory = uint64_t{8} << 30;  // bytes of address space; 0: any number
  uint64_t processor_seconds = 600;     // of processor time
  double grace = 2;                     // between asking the group to end and killing it
};

enum class End { exited, signalled, timed_out, not_started };

struct Ended {
  End how = End::not_started;
  int code = 0;  // exit status, or the signal
  bool out_of_memory = false;
  std::string out, err;  // what it printed, up to a few megabytes
  double seconds = 0;

  bool well() const { return how == End::exited && code == 0; }
  // Asked to end, and not by us: a scheduler does that to all processes of a job.
  bool by_others() const;
  // "exited with 1: <last line>", "signal 11 (Segmentation fault)" ...
  std::string text() const;
};

// Throws nothing: a command that cannot be started is an ending too.
Ended run_child(const std::vector<std::string>& command, const std::string& input, const Limits& limits);

}  // namespace lathe::tune
