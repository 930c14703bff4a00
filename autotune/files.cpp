#include "files.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace lathe::tune {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string find_program(std::initializer_list<const char*> names, std::vector<std::string> folders) {
  const char* path = std::getenv("PATH");
  std::istringstream rest(path ? path : "");
  for (std::string folder; std::getline(rest, folder, ':');) folders.push_back(folder);
  for (const char* name : names)
    for (const std::string& folder : folders)
      if (std::string file = folder + "/" + name; access(file.c_str(), X_OK) == 0) return file;
  return "";
}

}  // namespace lathe::tune
