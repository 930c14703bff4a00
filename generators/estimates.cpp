#include "estimates.h"

#include <fmt/format.h>

#include <sstream>
#include <stdexcept>

namespace lathe::gen {

Estimates parse_estimates(const std::string& problem) {
  Estimates estimates;
  std::istringstream words(problem);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos)
      throw std::invalid_argument(fmt::format("--problem: {}: expected NAME=W, NAME=WxH or NAME=N", word));
    std::istringstream extents(word.substr(equals + 1));
    for (std::string extent; std::getline(extents, extent, 'x');)
      estimates[word.substr(0, equals)].push_back(std::stod(extent));
  }
  return estimates;
}

}  // namespace lathe::gen
