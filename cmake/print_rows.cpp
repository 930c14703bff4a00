// Prints this processor's micro-architecture and the rows it can run, for the configuration of a host build.
#include <cstdio>

#include "runtime/processor.h"

int main() {
  std::printf("%s\n", lathe::host_uarch());
  for (const char* row : lathe::row_names())
    if (lathe::row_runs(row)) std::printf("%s ", row);
  std::printf("\n");
}
