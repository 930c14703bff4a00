// What a sweep has found out, one JSON object a line, only ever appended to. A line is one write and is on disk before
// the next candidate starts, so that a kill loses at most the candidate under way.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "outcome.h"

namespace lathe::tune {

struct Entry {
  std::string id, text;  // of the candidate; the text is its configuration, "knob=value ..."
  std::string stage;     // "sweep", "final", "noise" ...
  int sequence = 0;      // within its shard
  Outcome outcome;
};

nlohmann::json to_line(const Entry& entry);
Entry entry_of(const nlohmann::json& line);

// Infrastructure of the sweep itself failed: nothing is said of any candidate, and the sweep can be resumed.
class Infrastructure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Journal {
 public:
  // Opens or creates the file and holds it against other tuners. Throws Infrastructure.
  explicit Journal(const std::filesystem::path& file);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Those of earlier runs and of this one, in order.
  const std::vector<Entry>& entries() const { return entries_; }
  // Throws Infrastructure when it could not be written whole; what was there before stays whole.
  void append(Entry entry);

 private:
  std::filesystem::path file_;
  int descriptor_;
  std::vector<Entry> entries_;
};

// Without holding it. A last line without an end is an interrupted write and is left out; any other line that is not an
// entry throws Infrastructure naming it.
std::vector<Entry> read_journal(const std::filesystem::path& file);
// All shard-*.jsonl of the folders, each entry once, in an order that does not depend on the shards.
std::vector<Entry> merged(const std::vector<std::filesystem::path>& folders);
// One outcome a candidate: where several exist, the one that rests on most pairs.
std::map<std::string, Entry> by_candidate(const std::vector<Entry>& entries, const std::string& stage);

}  // namespace lathe::tune
