// Where in a JSON text a key stands, so that a complaint about its value can say the line.
#pragma once

#include <map>
#include <string>

namespace lathe::gen {

// JSON pointers, "/configurations/0/chunk", to lines counted from 1. What does not parse has the lines until there.
std::map<std::string, int> lines_of(const std::string& json);

}  // namespace lathe::gen
