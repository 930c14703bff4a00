// lathe: one program, a verb each.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "../autotune/command/tune.h"
#include "../bench/bench.h"
#include "call.h"
#include "verbs.h"

namespace lathe::cli {

std::string program_folder() {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/exe", none).parent_path().string();
}

std::string source_tree() {
  const char* root = std::getenv("LATHE_ROOT");
  return root && *root ? root : std::filesystem::path(program_folder()).parent_path().parent_path().string();
}

}  // namespace lathe::cli

int main(int argc, char** argv) {
  // Their options and exit codes are their own.
  if (argc > 1 && std::string_view(argv[1]) == "bench") return lathe_bench_main(argc - 1, argv + 1);
  if (argc > 1 && std::string_view(argv[1]) == "tune") return lathe_tune_main(argc - 1, argv + 1);
  CLI::App program("Linear attention kernels, generated for this processor.", "lathe");
  program.require_subcommand(1);
  program.add_subcommand("bench", "times against this machine's limits; --peers beside other libraries");
  program.add_subcommand("tune", "finds the numbers of schedules by measuring");
  lathe::cli::add_demo(program);
  lathe::cli::add_list(program);
  lathe::cli::add_describe(program);
  lathe::cli::add_show(program);
  lathe::cli::add_doctor(program);
  lathe::cli::add_regenerate(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lathe: {}\n", error.what());
    return 1;
  }
  return 0;
}
