// `lathe show`: what a kernel became, from the very generator that made it.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "call.h"
#include "rows.h"
#include "verbs.h"

namespace lathe::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Removed at the end, whatever happens.
class Folder {
 public:
  Folder() : path_((fs::temp_directory_path() / "lathe-show-XXXXXX").string()) {
    if (!mkdtemp(path_.data())) throw Failure("no folder could be made in " + fs::temp_directory_path().string());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// KERNEL, KERNEL_INSTANCE or either with _TARGET, and "lathe_" in front or not; the first match in order of preference.
Json find(std::string name) {
  if (name.starts_with("lathe_")) name.erase(0, 6);
  const Json kernels = list_of("kernels");
  for (const char* row : row_names())
    for (const Json& k : kernels) {
      if (k.at("target") != row) continue;
      const std::string kernel = k.at("kernel"), instance = k.at("instance"), symbol = k.at("name");
      const bool here = row_runs(this_processor(), row) && (name == kernel || name == kernel + "_" + instance);
      if (here || "lathe_" + name == symbol || name == fmt::format("{}_{}", kernel, row)) return k;
    }
  std::string known;
  for (const Json& k : kernels) {
    const std::string word = " " + k.at("kernel").get<std::string>();
    if ((known + " ").find(word + " ") == std::string::npos) known += word;
  }
  throw Failure(
      fmt::format("unknown kernel '{}'; expected one of{}, alone or with _INSTANCE and _TARGET "
                  "(lathe list kernels)",
                  name, known));
}

void generate(const std::vector<std::string>& command) {
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execv(words[0], words.data());
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
    throw Failure(fmt::format("{} did not run or failed; `./lathe build` makes it", command[0]));
}

void print_file_of(const std::string& folder, const std::string& extension) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != extension) continue;
    std::cout << std::ifstream(entry.path()).rdbuf() << std::flush;
    return;
  }
  throw Failure("the generator wrote no " + extension + " file");
}

struct ShowOptions {
  std::string kernel;
  bool assembly = false, stmt = false, record = false;
};

void run(const ShowOptions& options) {
  const Json kernel = find(options.kernel);
  if (options.record) {
    for (const char* key : {"name", "target", "numbers", "record"})
      fmt::print("{:8} {}\n", key, kernel.at(key).get<std::string>());
    return;
  }
  const Folder folder;
  // The numbers that the library was built with, not those that a record would give today.
  std::vector<std::string> command = {program_folder() + "/lathe-gen",
                                      "--kernel",
                                      kernel.at("kernel"),
                                      "--row",
                                      kernel.at("target"),
                                      "--out",
                                      folder.path(),
                                      "--emit",
                                      options.stmt ? "stmt" : "assembly"};
  if (kernel.at("instance") != "") command.insert(command.end(), {"--axis", kernel.at("instance")});
  std::istringstream numbers(kernel.at("numbers").get<std::string>());
  for (std::string number; numbers >> number;) command.insert(command.end(), {"--set", number});
  generate(command);
  print_file_of(folder.path(), options.stmt ? ".stmt" : ".s");
}

}  // namespace

void add_show(CLI::App& program) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* verb = program.add_subcommand("show", "what a kernel became: --asm, --stmt or --record");
  verb->add_option("kernel", options->kernel, "causal, causal_plain, causal_plain_avx512 ...")->required();
  auto* kind = verb->add_option_group("kind");
  kind->add_flag("--asm", options->assembly, "its assembly");
  kind->add_flag("--stmt", options->stmt, "its loops, as Halide lowered them");
  kind->add_flag("--record", options->record, "its numbers and where they come from");
  kind->require_option(1);
  verb->callback([options] { run(*options); });
}

}  // namespace lathe::cli
