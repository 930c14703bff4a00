#include "text.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "call.h"

namespace lathe::cli {

namespace {

namespace fs = std::filesystem;

// Long ones in plain English first; what every Linux system has somewhere comes last.
constexpr std::array kLikelyTexts = {"/usr/share/common-licenses/GPL-3", "/usr/share/licenses/common/GPL3/license.txt",
                                     "/usr/share/common-licenses/GPL-2", "/usr/share/common-licenses/Apache-2.0",
                                     "/etc/services"};

std::string found_text() {
  std::error_code ignored;
  for (const char* file : kLikelyTexts)
    if (fs::is_regular_file(file, ignored) && fs::file_size(file, ignored) > 4096) return file;
  throw Failure("no text was found on this machine; name one: lathe demo FILE");
}

}  // namespace

Text read_text(const std::string& file) {
  Text text;
  text.name = file.empty() ? found_text() : file;
  if (fs::is_directory(text.name)) throw Failure(fmt::format("{} is a folder; expected a file to read", text.name));
  errno = 0;
  std::ifstream in(text.name, std::ios::binary);
  if (!in) throw Failure(fmt::format("{} cannot be read: {}", text.name, std::strerror(errno)));
  text.bytes.resize(kMostText);
  in.read(reinterpret_cast<char*>(text.bytes.data()), static_cast<std::streamsize>(kMostText));
  text.bytes.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) throw Failure(fmt::format("{} cannot be read: {}", text.name, std::strerror(errno)));
  if (text.bytes.empty()) throw Failure(fmt::format("{} is empty; expected at least one byte to read", text.name));
  std::error_code unknown;
  const auto size = fs::file_size(text.name, unknown);
  text.whole = unknown ? text.bytes.size() : std::max(static_cast<size_t>(size), text.bytes.size());
  return text;
}

}  // namespace lathe::cli
