#include "fatbin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "module.h"

namespace ptx {

namespace {

// NVIDIA publishes no description; this is what its own programs write and read.
struct Header {
  char magic[4];
  uint16_t version, header_bytes;
  uint64_t bytes;  // of all entries
};
struct Entry {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;
  uint32_t packed_bytes, unknown[5];
  uint64_t flags, unused, unpacked_bytes;
};
static_assert(sizeof(Header) == 16 && sizeof(Entry) == 64 && offsetof(Entry, flags) == 40);
constexpr uint16_t kPtx = 1;
constexpr uint64_t kPackedByLz4 = 0x2000, kPackedByZstd = 0x8000;

// By the library that Debian's own packages are unpacked with: no header of it need be here.
std::string unpacked(const char* data, const Entry& entry) {
  void* const library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) throw ParseError(fmt::format("a fatbin that is packed: expected libzstd.so.1, got {}", dlerror()));
  const auto unpack =
      reinterpret_cast<size_t (*)(void*, size_t, const void*, size_t)>(dlsym(library, "ZSTD_decompress"));
  std::string text(entry.unpacked_bytes, '\0');
  if (!unpack || unpack(text.data(), text.size(), data, entry.packed_bytes) != text.size())
    throw ParseError(fmt::format("a fatbin that is packed: expected {} bytes of PTX, got others", text.size()));
  return text;
}

std::string text_of(const char* data, const Entry& entry) {
  if (entry.flags & kPackedByLz4) throw ParseError("a fatbin that is packed: expected zstd, got LZ4");
  std::string text = entry.flags & kPackedByZstd ? unpacked(data, entry) : std::string(data, entry.bytes);
  // what fills it up to whole words
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  return text;
}

}  // namespace

std::string text_of(const void* image) {
  const char* at = static_cast<const char*>(image);
  Header header{};
  if (std::strncmp(at, "\x50\xED\x55\xBA", sizeof header.magic) != 0) return at;
  std::memcpy(&header, at, sizeof header);
  at += header.header_bytes;
  for (const char* const end = at + header.bytes; at < end;) {
    Entry entry{};
    std::memcpy(&entry, at, sizeof entry);
    at += entry.header_bytes;
    if (entry.kind == kPtx) return text_of(at, entry);
    at += entry.bytes;
  }
  throw ParseError("a fatbin without PTX, which is all that is run here");
}

}  // namespace ptx
