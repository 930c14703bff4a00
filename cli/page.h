// The demo's results as one self-contained page, and as data.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "headline.h"
#include "reading.h"
#include "text.h"

namespace lathe::cli {

struct Demo {
  Text text;
  Reading reading;
  Headline headline;
  nlohmann::json machine;
  std::string date;
};

std::string as_page(const Demo& demo);
nlohmann::json as_data(const Demo& demo);

// What was written, with marks where a byte is no letter of ASCII.
std::string printable(const std::string& bytes);
// How each head and the mixture are made, in words.
std::string memory_in_words();

}  // namespace lathe::cli
