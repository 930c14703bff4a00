// One run of the benchmark: opens the contestants of a case, checks their answers, races them, and keeps what a later
// row of the same case needs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lathe_call.h"
#include "pairs.h"
#include "peaks.h"
#include "peers.h"

namespace lathe::bench {

struct Options {
  std::string filter = ".", json, html, readme = "README.md";
  int threads = 1;
  double seconds = 30;
  bool peers = false, torch = false, update_readme = false, quick = false, smoke = false, list = false;
  PeerFolders folders;
};

// A row of the results.
struct Measured {
  double seconds = 0;                      // best of one run
  std::map<std::string, double> counters;  // as they stand in the JSON
  std::string label;
  std::string error;  // why there is no time; empty when there is one
};

class Session {
 public:
  explicit Session(const Options& options);

  Measured measure_lathe(const Case& c);
  Measured measure_peer(const Peer& peer, const Case& c);

  // A wrong answer somewhere.
  bool failed() const { return failed_; }
  FmaProbe& probe(int threads);

 private:
  struct Live {
    explicit Live(const Case& c) : problem(c) {}
    Problem problem;
    std::unique_ptr<LatheCall> call;
    std::string error;
    std::map<std::string, PairResult> peers;
  };

  Live& live(const Case& c);
  std::unique_ptr<LatheCall> open_checked(Problem& problem, std::string* error);
  // The counters that come from racing lathe with the machine, and with a twin of the case.
  void race_machine(Live& live, Measured& row);
  void race_baseline(Live& live, Measured& row);
  std::string wrong(const std::string& text);

  Options options_;
  PairOptions pairs_;
  std::map<int, std::unique_ptr<FmaProbe>> probes_;
  std::string live_name_;
  std::unique_ptr<Live> live_;
  bool failed_ = false;
};

}  // namespace lathe::bench
