// Stands in for lathe-gen and lathe-runner, called as shim-generator or shim-runner, and misbehaves as told: what a
// candidate does follows from its name, so that tests know it beforehand. $LATHE_SHIM lists faults as "abort:3 hang:4"
// - candidates whose hash modulo 20 is 3 abort - and "slow:1" makes every candidate slower than the default.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "autotune/hash.h"
#include "autotune/runner/job.h"

namespace {

using Json = nlohmann::json;

bool told(const std::string& fault, uint64_t number) {
  const char* faults = std::getenv("LATHE_SHIM");
  std::istringstream words(faults ? faults : "");
  for (std::string word; words >> word;)
    if (word.starts_with(fault + ":") && std::stoull(word.substr(fault.size() + 1)) == number) return true;
  return false;
}

[[noreturn]] void hang() {
  // a grandchild as well, which must not outlive the group
  if (fork() == 0)
    for (;;) pause();
  signal(SIGTERM, SIG_IGN);
  for (;;) pause();
}

// Asked for and not touched: the limit is on what a process may ask for.
[[noreturn]] void eat_memory() {
  std::vector<std::unique_ptr<char[]>> all;
  try {
    for (;;) all.emplace_back(new char[size_t{64} << 20]);
  } catch (const std::bad_alloc&) {
    std::cerr << "out of memory\n";
  }
  std::_Exit(1);
}

void print_space() {
  Json points = Json::array(), values = Json::array();
  for (int i = 0; i < 10; i++) values.push_back(i);
  for (int a = 0; a < 10; a++)
    for (int b = 0; b < 10; b++)
      if (a + b < 15) points.push_back({a, b});
  const auto knob = [&](const char* name) {
    return Json{{"name", name}, {"default", 0}, {"legal", values}, {"meaning", "of a test"}, {"numerics", false}};
  };
  std::cout << Json{{"kernel", "causal"},
                    {"axis", "plain"},
                    {"row", "avx2"},
                    {"target", "x86-64-linux"},
                    {"halide", "0.0.0"},
                    {"arguments", Json::array()},
                    {"record", {{"point", {0, 0}}, {"source", "defaults"}}},
                    {"raw", 100},
                    {"valid", points.size()},
                    {"knobs", {knob("a"), knob("b")}},
                    {"constraints", {{{"text", "a + b is small"}, {"rejected", 100 - points.size()}}}},
                    {"points", points}}
                   .dump()
            << "\n";
}

int generate(const std::vector<std::string>& words) {
  std::string text, out;
  for (size_t i = 0; i + 1 < words.size(); i++) {
    if (words[i] == "--set") text += words[i + 1] + " ";
    if (words[i] == "--out") out = words[i + 1];
  }
  const uint64_t number = lathe::tune::hash(text) % 20;
  const bool fallback = text == "a=0 b=0 ";
  if (!fallback && told("abort", number)) std::abort();
  if (!fallback && told("hang", number)) hang();
  if (!fallback && told("memory", number)) eat_memory();
  if (!fallback && told("refuse", number)) {
    std::cerr << "refused\n";
    return 1;
  }
  mkdir(out.c_str(), 0755);
  // the configuration is the object's text, so that no two are the same code
  std::ofstream(out + "/kernel.o") << text;
  std::ofstream(out + "/kernel.inc")
      << "LATHE_ENTRY(kernel, \"causal\", \"plain\", \"avx2\", 32, 16, 16, 8, \"\", \"\")\n";
  return 0;
}

int link(const std::vector<std::string>& words) {
  const std::string object = words.back();
  std::ifstream in(object);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (size_t i = 0; i + 1 < words.size(); i++)
    if (words[i] == "-o") std::ofstream(words[i + 1]) << text;
  return 0;
}

std::string content(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

void say(const Json& line) { std::cout << "\n" << lathe::tune::kLineStart << line.dump() << "\n" << std::flush; }

int run() {
  const Json job = Json::parse(std::string{std::istreambuf_iterator<char>(std::cin), {}});
  const std::string text = content(job.at("candidate").at("library"));
  const uint64_t number = lathe::tune::hash(text) % 20;
  const bool fallback = text == "a=0 b=0 ";
  std::cout << "something that a kernel printed";
  if (!fallback && told("fault", number)) raise(SIGSEGV);
  if (!fallback && told("ended", number)) raise(SIGTERM);
  if (!fallback && told("spin", number)) hang();
  if (!fallback && told("greedy", number)) eat_memory();
  if (told(fallback ? "default" : "wrong", fallback ? 0 : number)) {
    say({{"event", "wrong"}, {"detail", "o[3] is 1 and should be 2"}});
    return 0;
  }
  if (!fallback && told("race", number)) {
    say({{"event", "unstable"}, {"detail", "two runs differ"}});
    return 0;
  }
  say({{"event", "verified"}, {"worst", 1.5}});
  if (job.at("race").get<bool>()) {
    // a bowl with its bottom at a = 6, b = 5; the same code is as fast as itself
    int a = 0, b = 0;
    std::sscanf(text.c_str(), "a=%d b=%d", &a, &b);
    double ratio = 0.5 + 0.01 * ((a - 6) * (a - 6) + (b - 5) * (b - 5));
    if (told("slow", 1)) ratio = 1.2 + 0.01 * (a + b);
    const std::string other = content(job.at("incumbent").at("library"));
    if (other == text) ratio = 1;
    say({{"event", "raced"},
         {"ratios", std::vector<double>(24, ratio)},
         {"pairs", 24},
         {"conclusive", true},
         {"ns", 100 * ratio},
         {"ns_incumbent", 100}});
  }
  say({{"event", "done"}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string name = argv[0];
  if (name.ends_with("shim-runner")) return run();
  if (name.ends_with("shim-linker")) return link(words);
  for (const std::string& word : words)
    if (word == "--space") return print_space(), 0;
  return generate(words);
}
