// Holds record files against the spaces of the schedules, while CMake configures.
// usage: check_records KERNEL:[AXIS]... -- FILE...
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "../schedules/records.h"

int main(int argc, char** argv) {
  using namespace lathe::gen;
  std::vector<Instance> instances;
  int i = 1;
  for (; i < argc && std::string(argv[i]) != "--"; i++) {
    const std::string word = argv[i];
    const size_t colon = word.find(':');
    instances.push_back({word.substr(0, colon), word.substr(colon + 1)});
  }
  bool right = true;
  while (++i < argc) try {
      check_record(argv[i], instances);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      right = false;
    }
  return right ? 0 : 1;
}
