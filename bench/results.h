// The results as they stand in the JSON, and the three ways to show them to people.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lathe::bench {

struct PeerRow {
  std::string name, label, error;
  double seconds = 0;
};

struct CaseRow {
  std::string name, label, error;
  double seconds = 0;
  std::map<std::string, double> counters;
  std::vector<PeerRow> peers;
};

struct Results {
  std::map<std::string, std::string> machine;
  std::vector<CaseRow> rows;
};

Results read_results(const std::string& json);

// "12.3"; "12.3?" when it rests on fewer fast pairs than a claim needs, "inconclusive" when there was none, "" where
// there is no such counter.
std::string percent(const CaseRow& row, const std::string& counter);
// "2.13x", and the same.
std::string ratio(const CaseRow& row, const std::string& counter);
std::string duration(double seconds);
std::string machine_line(const Results& results);

std::string as_table(const Results& results);
std::string as_html(const Results& results);
std::string as_markdown(const Results& results);
// Puts the text between the markers of the file; false, and why, when it has none.
bool rewrite_between_markers(const std::string& file, const std::string& text, std::string* why);

}  // namespace lathe::bench
