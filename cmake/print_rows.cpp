// Prints this processor's micro-architecture and the rows it can run, for the configuration of a host build.
#include <cstdio>

#include "runtime/rows.h"

int main() {
  std::printf("%s\n", lathe::uarch(lathe::this_processor()));
  for (const char* row : lathe::row_names())
    if (lathe::row_runs(lathe::this_processor(), row)) std::printf("%s ", row);
  std::printf("\n");
}
