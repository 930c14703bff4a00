// Structures of the caller's, which may come from a later version of the header.
#pragma once

#include "status.h"

namespace lathe {

// No shorter than this version's, and whatever a later version added to it must be zero. A size beyond any header's is
// memory that nobody filled in, and is not followed.
template <typename Structure>
void check_structure(const Structure& structure, const char* name) {
  constexpr uint32_t most = 4096;
  require(structure.size >= sizeof(Structure) && structure.size <= most, "{}.size: expected {}, got {}", name,
          sizeof(Structure), structure.size);
  const auto* bytes = reinterpret_cast<const unsigned char*>(&structure);
  for (uint32_t i = sizeof(Structure); i < structure.size; i++)
    if (bytes[i])
      fail(LATHE_UNSUPPORTED,
           "{}: expected zeros past this version's {} bytes, got {} at byte {}; the library is older than the caller",
           name, sizeof(Structure), bytes[i], i);
}

}  // namespace lathe
