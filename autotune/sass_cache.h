// The first-level cache of a multiprocessor, in lines of 128 bytes and their four sectors.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "sass_warp.h"

namespace lathe::tune::sass {

constexpr int kSector = 32;  // bytes

// Where it is full, the line that was longest unused goes.
class Cache {
 public:
  explicit Cache(int64_t bytes) : lines_(static_cast<size_t>(std::max<int64_t>(bytes / 128, 1))) {}

  // How many of the sectors were not there.
  int take(uint64_t line, uint8_t sectors) {
    if (const auto found = places_.find(line); found != places_.end()) {
      used_.splice(used_.begin(), used_, found->second);
    } else {
      used_.push_front({line, 0});
      places_[line] = used_.begin();
      if (used_.size() > lines_) {
        places_.erase(used_.back().line);
        used_.pop_back();
      }
    }
    uint8_t& held = used_.front().sectors;
    const auto missing = static_cast<uint8_t>(sectors & ~held);
    held |= sectors;
    return std::popcount(missing);
  }

 private:
  size_t lines_;
  std::list<Touched> used_;  // the line that was used last in front
  std::unordered_map<uint64_t, std::list<Touched>::iterator> places_;
};

}  // namespace lathe::tune::sass
