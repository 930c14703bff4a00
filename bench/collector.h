// Keeps Google Benchmark's rows as its own JSON, without the parts of a name that only its own loop needs.
#pragma once

#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace lathe::bench {

class Collector : public benchmark::BenchmarkReporter {
 public:
  Collector() {
    json_.SetOutputStream(&text_);
    json_.SetErrorStream(&text_);
  }

  bool ReportContext(const Context& context) override { return json_.ReportContext(context); }
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> named = runs;
    for (Run& run : named) {
      run.run_name.iterations.clear();
      run.run_name.time_type.clear();
    }
    json_.ReportRuns(named);
  }
  void Finalize() override { json_.Finalize(); }

  // Without what says nothing about the figures: how Debian built the library, the host's name.
  std::string text() const {
    auto json = nlohmann::ordered_json::parse(text_.str());
    for (const char* key : {"host_name", "executable", "library_build_type"}) json["context"].erase(key);
    return json.dump(2) + "\n";
  }

 private:
  std::ostringstream text_;
  benchmark::JSONReporter json_;
};

}  // namespace lathe::bench
