// Real processors by what they and their system say, and the rows that each can run: the words are those of
// /proc/cpuinfo, put into CPUID's registers here and not by the library.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "processor.h"

namespace dispatch {

struct Known {
  const char* name;
  lathe::Processor processor;
  std::vector<std::string> rows;  // that it runs, best first
  const char* uarch;
};
std::vector<Known> processors();
inline void PrintTo(const Known& known, std::ostream* out) { *out << known.name; }

}  // namespace dispatch
