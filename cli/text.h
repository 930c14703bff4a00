// The text that the demo reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::cli {

constexpr size_t kMostText = 256 * 1024;

struct Text {
  std::string name;
  std::vector<uint8_t> bytes;  // kMostText of them at most
  size_t whole = 0;            // bytes of the file
};

// The file, or a text found on the machine when the name is empty. Throws Failure when there is nothing to read.
Text read_text(const std::string& file);

}  // namespace lathe::cli
