#include "journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <tuple>

namespace lathe::tune {

namespace fs = std::filesystem;

nlohmann::json to_line(const Entry& entry) {
  nlohmann::json line = entry.outcome;
  line["id"] = entry.id;
  line["text"] = entry.text;
  line["stage"] = entry.stage;
  line["sequence"] = entry.sequence;
  return line;
}

Entry entry_of(const nlohmann::json& line) {
  return {line.at("id"), line.at("text"), line.at("stage"), line.at("sequence"), line.get<Outcome>()};
}

namespace {

struct Read {
  std::vector<Entry> entries;
  size_t whole = 0;  // bytes up to the end of the last line
};

Read read_lines(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  const std::string text = bytes.str();
  Read read;
  int number = 0;
  for (size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    number++;
    try {
      read.entries.push_back(entry_of(nlohmann::json::parse(text.substr(start, end - start))));
      read.whole = end + 1;
    } catch (const std::exception& error) {
      // the last line may be what a crash of the system left of a write
      if (end + 1 == text.size()) break;
      throw Infrastructure(fmt::format("{}:{}: not an entry of a journal ({}); move the file away to start again",
                                       file.string(), number, error.what()));
    }
  }
  return read;
}

auto order_of(const Entry& e) { return std::tie(e.id, e.stage, e.outcome.pairs, e.sequence, e.text); }

}  // namespace

Journal::Journal(const fs::path& file) : file_(file), descriptor_(-1) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    throw Infrastructure(fmt::format("{} cannot be written: {}", file.string(), std::strerror(errno)));
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor_);
    throw Infrastructure(
        fmt::format("another tuner is at work on {}; wait for it, or give --out or --shard", file.string()));
  }
  try {
    Read read = read_lines(file);
    entries_ = std::move(read.entries);
    // a broken last line goes, or the next entry would stand behind it
    if (ftruncate(descriptor_, static_cast<off_t>(read.whole)) != 0)
      throw Infrastructure(
          fmt::format("{} cannot be cut to its last whole line: {}", file.string(), std::strerror(errno)));
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

Journal::~Journal() { close(descriptor_); }

void Journal::append(Entry entry) {
  entry.sequence = static_cast<int>(entries_.size());
  const std::string line = to_line(entry).dump() + "\n";
  const off_t before = lseek(descriptor_, 0, SEEK_END);
  errno = 0;
  const ssize_t written = write(descriptor_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size()) || fsync(descriptor_) != 0) {
    const std::string why = written >= 0 && errno == 0 ? "no space left" : std::strerror(errno);
    const bool restored = ftruncate(descriptor_, before) == 0;
    throw Infrastructure(fmt::format("{} cannot be written: {}{}; make room and run the same command again",
                                     file_.string(), why, restored ? "" : " (its last line is broken)"));
  }
  entries_.push_back(std::move(entry));
}

std::vector<Entry> read_journal(const fs::path& file) { return read_lines(file).entries; }

std::vector<Entry> merged(const std::vector<fs::path>& folders) {
  std::vector<Entry> all;
  for (const fs::path& folder : folders) {
    if (!fs::is_directory(folder)) throw Infrastructure(fmt::format("{} is not a folder of a run", folder.string()));
    for (const auto& file : fs::directory_iterator(folder)) {
      const std::string name = file.path().filename().string();
      if (!name.starts_with("shard-") || !name.ends_with(".jsonl")) continue;
      const auto entries = read_journal(file.path());
      all.insert(all.end(), entries.begin(), entries.end());
    }
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return order_of(a) < order_of(b); });
  all.erase(
      std::unique(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return to_line(a) == to_line(b); }),
      all.end());
  return all;
}

std::map<std::string, Entry> by_candidate(const std::vector<Entry>& entries, const std::string& stage) {
  std::map<std::string, Entry> best;
  for (const Entry& entry : entries) {
    if (entry.stage != stage) continue;
    const auto [at, fresh] = best.try_emplace(entry.id, entry);
    if (!fresh && entry.outcome.fast > at->second.outcome.fast) at->second = entry;
  }
  return best;
}

}  // namespace lathe::tune
