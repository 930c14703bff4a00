#include "loops.h"

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>
#include <utility>

namespace lathe::tune {

namespace {

// Where a block of the listing belongs, from the comments at its head.
struct Place {
  std::string loop;    // the header of the innermost loop around it; empty: none
  std::string parent;  // where it is a header itself: that of the loop around that
  std::string name;
  bool header = false;
};

Place place_of(const std::string& label, const std::string& comments) {
  static const std::regex kName(R"re(%"?\d*_?for_([^"\s]+)"?)re"), kIn(R"(in Loop: Header=(\w+))"),
      kParent(R"(Parent Loop (\w+) Depth)");
  Place place;
  std::smatch words;
  if (comments.find("Loop Header:") != std::string::npos) {
    place.header = true;
    place.loop = label;
    if (std::regex_search(comments, words, kName)) place.name = words[1];
    for (std::sregex_iterator at(comments.begin(), comments.end(), kParent), end; at != end; ++at)
      place.parent = (*at)[1];
  } else if (std::regex_search(comments, words, kIn)) {
    place.loop = words[1];
  }
  return place;
}

bool only_comment(const std::string& line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string::npos || line[first] == '#' || line[first] == '/';
}

}  // namespace

std::vector<Loop> loops_of(const std::string& assembly) {
  static const std::regex kBlock(R"(^(?:\.L(\w+):|(?:#|//) %bb\.\d+:)(.*))");
  std::vector<std::string> lines;
  std::istringstream in(assembly);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::vector<Loop> loops;
  std::map<std::string, size_t> headers;
  std::map<std::string, Loop> early;  // of blocks that stand before their loop's header
  std::string current;
  for (size_t i = 0; i < lines.size(); i++) {
    std::smatch words;
    if (std::regex_match(lines[i], words, kBlock)) {
      std::string comments = words[2];
      while (i + 1 < lines.size() && only_comment(lines[i + 1]) && !std::regex_match(lines[i + 1], kBlock))
        comments += "\n" + lines[++i];
      const Place place = place_of(words[1], comments);
      current = place.loop;
      if (!place.header) continue;
      headers[current] = loops.size();
      loops.push_back(early[current]);
      loops.back().name = place.name;
      if (const auto parent = headers.find(place.parent); parent != headers.end())
        loops[parent->second].innermost = false;
      continue;
    }
    const size_t first = lines[i].find_first_not_of(" \t");
    if (current.empty() || only_comment(lines[i]) || lines[i][first] == '.') continue;
    const auto header = headers.find(current);
    Loop& loop = header == headers.end() ? early[current] : loops[header->second];
    loop.body += lines[i] + "\n";
    loop.spills += lines[i].find("-byte Folded") != std::string::npos ||
                   lines[i].find("-byte Spill") != std::string::npos ||
                   lines[i].find("-byte Reload") != std::string::npos;
  }
  return loops;
}

Contents contents_of(const std::string& body) {
  static const std::regex kFma(R"(\s*(fml[as]|vfn?m(add|sub)\w*p[sd])\s.*)"),
      kStore(R"(\s*(st\w+\s.*|v?mov\w*\s+%\w+,\s*[^%]*\(.*))"), kStack(R"(.*\[sp.*|.*\(%rsp.*)");
  Contents contents;
  std::istringstream in(body);
  for (std::string line; std::getline(in, line);) {
    const bool store = std::regex_match(line, kStore);
    contents.instructions++;
    contents.fmas += std::regex_match(line, kFma);
    contents.stores += store;
    contents.stack_stores += store && std::regex_match(line, kStack);
  }
  return contents;
}

std::vector<std::vector<Trips>> read_trips(const std::string& text) {
  std::vector<std::vector<Trips>> problems;
  std::vector<Trips> trips;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) problems.push_back(std::exchange(trips, {}));
    if (line.empty()) continue;
    std::istringstream words(line);
    Trips one;
    int innermost = 0;
    words >> one.count >> innermost >> one.name;
    one.innermost = innermost != 0;
    trips.push_back(one);
  }
  return problems;
}

std::vector<double> matched(const std::vector<Loop>& loops, const std::vector<Trips>& trips) {
  std::vector<double> counts(loops.size());
  for (const Trips& t : trips) {
    size_t best = loops.size();
    for (size_t i = 0; i < loops.size(); i++) {
      if (loops[i].name != t.name && !loops[i].name.starts_with(t.name + ".")) continue;
      // the copy for a loop that does not run inside is short of it
      if (best == loops.size() || (loops[best].innermost != t.innermost && loops[i].innermost == t.innermost)) best = i;
    }
    if (best < loops.size()) counts[best] = t.count;
  }
  return counts;
}

}  // namespace lathe::tune
