#include "device_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "measurer.h"

namespace lathe::tune {

namespace {

// Kernels that only devices have. Of the caller's tensors each item has its own stretch, and each head.
std::string device_only(const std::string& kernel, int chunk, const Shape& shape) {
  const int chunks = kTokens / chunk, items = items_of(chunk);
  const auto all = [=](const std::string& rows) { return fmt::format("{}x{}x{}", rows, items, kHeads); };
  const std::string rows = all(fmt::format("{}x{}", shape.D, chunk));
  const std::string tensor = all(fmt::format("1x{}x{}x1", shape.D, chunk));
  const std::string place = fmt::format("from=0 token=0 batch=0 rows={} width={}", chunk, shape.D);
  if (kernel == "gather") return fmt::format("x={} y={} {}", tensor, rows, place);
  if (kernel == "scatter") return fmt::format("y={} x={} all={} {}", rows, tensor, chunk, place);
  if (kernel.starts_with("delta_step") || kernel == "rank_one_step" || kernel == "decode_momentum" ||
      kernel == "decode_before") {
    const std::string key = all(std::to_string(shape.D)), value = all(std::to_string(shape.V));
    const std::string number = fmt::format("{}x{}", items, kHeads);
    return fmt::format(
        "q={0} k={0} a={1} left={0} b={0} u={0} beta={2} c={2} inv={2} v={3} before={3} o={3} h={4} p={4} h_out={4} "
        "p_out={4} a_at=0 b_at=0 q_at=0 k_at=0 v_at=0 h_at=0 p_at=0 h_out_at=0 p_out_at=0 o_at=0 rows=1 all=1",
        key, kernel == "delta_step" || kernel == "decode_momentum" ? number : key, number, value,
        all(fmt::format("{}x{}", shape.V, shape.D)));
  }
  if (kernel == "sum_step") {  // heads are rows of one item
    const std::string row = fmt::format("{}x{}x1", kHeads, items);
    return fmt::format(
        "q={0} k={0} z={0} z_out={0} a={1} inv={1} rows={2} eps=1 at_least=0 q_at=0 k_at=0 z_at=0 z_out_at=0",
        fmt::format("{}x{}", shape.D, row), row, kHeads);
  }
  const std::string many = fmt::format("{}x{}", kSequences, kHeads), state = fmt::format("{}x{}", shape.V, shape.D);
  const std::string entering = fmt::format("{}x{}", chunks + 1, many), h = fmt::format("h={}x{}", state, many);
  if (kernel == "carry")
    return fmt::format("u={0}x{2}x{1} left=1x{2}x{1} {3} states={0}x{4}", state, many, chunks, h, entering);
  if (!kernel.starts_with("states")) return "";
  const std::string of_chunks = fmt::format("{}x{}", chunks, many);
  return fmt::format("k={0}x{2}x{3} v={1}x{2}x{3} b={2}x2x{3} {4} states={1}x{0}x{5} k_at=0 v_at=0 rows={2}", shape.D,
                     shape.V, chunk, of_chunks, h, entering);
}

// One for all items and heads: the state of zeros that a chunk adds to, the rows that a map projects on.
bool shared(const std::string& kernel, const std::string& argument) {
  return (kernel == "state" && argument == "h") || (is_map(kernel) && argument == "w");
}

// Columns of tokens, of which devices take rows: "kt=CxK" as "kt=KxC".
std::string as_rows(const std::string& word) {
  if (!word.starts_with("kt=")) return word;
  const size_t begin = word.find('=') + 1, by = word.find('x');
  return word.substr(0, begin) + word.substr(by + 1) + "x" + word.substr(begin, by - begin);
}

}  // namespace

std::string device_problem(const std::string& runner, const Limits& limits, const Space& space, int chunk,
                           const Shape& shape) {
  if (const std::string known = device_only(space.kernel, chunk, shape); !known.empty()) return known;
  Job job;
  job.kernel = space.kernel;
  job.axis = space.axis;
  job.arguments = space.arguments;
  job.candidate.chunk = job.incumbent.chunk = chunk;
  job.shapes = {shape};
  job.extents = true;
  job.verify = job.race = false;
  const Outcome told = read_runner(run_child({runner}, nlohmann::json(job).dump(), limits), false);
  if (!told.usable()) throw std::invalid_argument(told.detail);
  const bool of_tokens = space.kernel == "causal" || space.kernel == "causal_normalised";
  std::string problem, tokens;
  std::istringstream words(told.detail);
  for (std::string word; words >> word;) {
    const std::string name = word.substr(0, word.find('='));
    const bool buffer = std::any_of(job.arguments.begin(), job.arguments.end(),
                                    [&](const Argument& a) { return a.name == name && a.dimensions > 0; });
    problem += (problem.empty() ? "" : " ") + (of_tokens ? as_rows(word) : word);
    if (!buffer) continue;
    problem += shared(space.kernel, name) ? "x1x1" : fmt::format("x{}x{}", items_of(chunk), kHeads);
    tokens += fmt::format(" {}_at=0", name);
  }
  // of buffers of tokens, which have the items of tiles here; of others nobody asks
  problem += fmt::format("{} all={}", tokens, chunk);
  if (problem.find(" rows=") == problem.npos) problem += fmt::format(" rows={}", chunk);
  return problem;
}

}  // namespace lathe::tune
