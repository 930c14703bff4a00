// What lies on the disk.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

namespace lathe::tune {

// All of a file, byte by byte; nothing where there is none.
std::string content_of(const std::filesystem::path& file);
// The first program of these names in the folders, then in those of $PATH: a name before the next is looked for. Empty
// where there is none.
std::string find_program(std::initializer_list<const char*> names, std::vector<std::string> folders = {});

}  // namespace lathe::tune
