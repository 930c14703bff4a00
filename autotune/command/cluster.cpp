// `lathe tune slurm`: a sweep as a job array, and the job that merges it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>

#include "../../cli/verbs.h"
#include "request.h"

namespace lathe::tune {

namespace fs = std::filesystem;

namespace {

// In single quotes for a shell.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

void write_script(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  if (!out.flush()) throw Infrastructure(fmt::format("{} cannot be written", file.string()));
  out.close();
  fs::permissions(file, fs::perms::owner_exec, fs::perm_options::add);
}

}  // namespace

int command_slurm(const Request& request) {
  const Tools tools = tools_of(request);
  const fs::path folder = root_of(request);
  fs::create_directories(folder);
  const std::string program = cli::program_folder() + "/lathe";
  std::string options = fmt::format("--row {} --strategy {} --measure {} --seed {} --jobs 1 --cpu -1 --effort {}",
                                    row_of(request), request.strategy, request.measure, request.seed, request.effort);
  for (const std::string& pin : request.pins) options += " --pin " + quoted(pin);
  for (const std::string& problem : request.problems) options += " --problem " + quoted(problem);
  for (const auto& [name, value] : {std::pair{"--generator", request.generator},
                                    {"--runner", request.runner},
                                    {"--linker", request.linker},
                                    {"--mcpu", request.mcpu},
                                    {"--records", request.records},
                                    {"--tune-for", request.tune_for}})
    if (!value.empty()) options += fmt::format(" {} {}", name, quoted(value));
  if (request.evals > 0) options += fmt::format(" --evals {}", request.evals);
  const std::string kernels = fmt::format("{}", fmt::join(request.kernels, " "));
  std::vector<std::string> runs;
  for (const std::string& kernel : request.kernels) {
    const Instance instance = find_instance(kernel, row_of(request));
    const Space space = space_of(request, tools, instance);
    runs.push_back(quoted(folder_of(request, tools, space, shapes_of(request, instance)).string()));
  }
  // few and long tasks are what sites ask for: one a shard, all kernels in it; a task that was killed goes on where it
  // was
  write_script(
      folder / "sweep.sbatch",
      fmt::format(
          "#!/bin/sh\n#SBATCH --job-name=lathe-tune\n#SBATCH --array=0-{0}\n#SBATCH --exclusive\n#SBATCH --requeue\n"
          "#SBATCH --output={1}/slurm-%A_%a.log\nexec {2} tune {3} --shard /{4} --out {5} {6}\n",
          request.shards - 1, folder.string(), quoted(program), kernels, request.shards, quoted(folder.string()),
          options));
  // the union first; the same sweep then finds every candidate known, and only lets the best race again, on one machine
  std::string merge = fmt::format(
      "#!/bin/sh\n#SBATCH --job-name=lathe-merge\n#SBATCH --exclusive\n#SBATCH --output={}/merge.log\nset -e\n",
      folder.string());
  for (const std::string& run : runs) merge += fmt::format("{} tune merge {} --out {}\n", quoted(program), run, run);
  merge += fmt::format("exec {} tune {} --out {} {}\n", quoted(program), kernels, quoted(folder.string()), options);
  write_script(folder / "merge.sbatch", merge);
  write_script(folder / "submit.sh", fmt::format("#!/bin/sh\nset -e\njob=$(sbatch --parsable {0}/sweep.sbatch)\n"
                                                 "sbatch --dependency=afterany:$job {0}/merge.sbatch\n",
                                                 quoted(folder.string())));
  fmt::print("{}\n", (folder / "submit.sh").string());
  return 0;
}

}  // namespace lathe::tune
