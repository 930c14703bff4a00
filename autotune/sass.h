// What NVIDIA's assembler makes of a kernel: registers and spills as ptxas tells them, loops as nvdisasm lists them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lathe::tune {

struct Assembled {
  std::string entry;  // the device's function
  int registers = 0;  // of a thread
  int spills = 0;     // bytes, stored and loaded
  int stack = 0;      // bytes of a thread's frame
  int fixed = 0;      // bytes of shared memory besides what a launch asks for
};
// From what `ptxas -v` prints, in its order.
std::vector<Assembled> read_ptxas(const std::string& text);
// The architectures that this ptxas assembles for, from what it prints when asked for help: 75, 80 ... without the
// variants of one that bind code to it alone.
std::vector<int> read_architectures(const std::string& help);

// Instructions by what they keep busy.
struct Mix {
  int all = 0, fma = 0, other_float = 0, special = 0, shared = 0, global = 0, barriers = 0;
  int flops = 0;
  Mix& operator+=(const Mix& other);
  double flops_each() const { return all == 0 ? 0 : static_cast<double>(flops) / all; }
};
struct Listed {
  Mix whole;               // every instruction, counted once
  std::vector<Mix> loops;  // innermost ones, in the order of the code
  Mix hot() const;         // of those the one with most flops; nothing where there is no loop
};
// By entry, from what `nvdisasm -c` prints.
std::map<std::string, Listed> read_listing(const std::string& text);

// Blocks that a multiprocessor of an architecture runs at once, and how much of its warps those are, from 0 to 1; -1
// where its limits are not known.
int resident_blocks(int architecture, int registers, int threads, int64_t shared);
double occupancy(int architecture, int registers, int threads, int64_t shared);
// Bytes of shared memory that the system takes of each block.
int reserved_shared(int architecture);

}  // namespace lathe::tune
