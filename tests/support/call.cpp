#include "call.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "roles.h"

namespace support {

const char* name_of(Layout layout) {
  static const char* const names[] = {"bthd", "bhtd", "gapped", "reversed"};
  return names[static_cast<size_t>(layout)];
}

std::string name_of(const OpAndVariant& op) { return op.first + "_" + op.second; }

Context::Context(int threads) {
  lathe_config config{};
  config.size = sizeof config;
  config.threads = threads;
  if (lathe_context_create(&config, &context_) != LATHE_OK) ADD_FAILURE() << lathe_last_error(nullptr);
}

Context::Context(const lathe_config& config) {
  if (lathe_context_create(&config, &context_) != LATHE_OK) ADD_FAILURE() << lathe_last_error(nullptr);
}

Context::~Context() { lathe_context_destroy(context_); }

Context& shared_context(int threads) {
  static std::map<int, std::unique_ptr<Context>> contexts;
  auto& context = contexts[threads];
  if (!context) context = std::make_unique<Context>(threads);
  return *context;
}

Plan::Plan(const Context& context, const Arguments& arguments, bool free_extents) {
  std::vector<lathe_arg> args = arguments.list();
  std::vector<lathe_tensor> tensors(args.size());
  std::vector<Extents> shapes(args.size());
  for (size_t i = 0; free_extents && i < args.size(); ++i) {
    tensors[i] = *args[i].tensor;
    shapes[i].assign(tensors[i].shape, tensors[i].shape + tensors[i].ndim);
    std::fill_n(shapes[i].begin(), roles().at(args[i].role).free, -1);
    tensors[i].shape = shapes[i].data();
    tensors[i].data = nullptr;
    args[i].tensor = &tensors[i];
  }
  status = lathe_plan_create(context.get(), &arguments.desc, args.data(), args.size(), &plan_);
}

Plan::~Plan() { lathe_plan_destroy(plan_); }

nlohmann::json Plan::describe() const {
  size_t need = 0;
  lathe_describe(plan_, nullptr, 0, &need);
  std::string text(need, '\0');
  if (lathe_describe(plan_, text.data(), text.size(), &need) != LATHE_OK) ADD_FAILURE() << "lathe_describe";
  return nlohmann::json::parse(text.c_str(), nullptr, false);
}

lathe_status run(const Context& context, const Plan& plan, const Arguments& arguments, const lathe_exec* exec) {
  const std::vector<lathe_arg> args = arguments.list();
  return lathe_run(context.get(), plan.get(), args.data(), args.size(), exec);
}

RunElsewhere run_elsewhere = nullptr;

namespace {

// In a workspace full of NaN: what a call reads there it has written.
lathe_status run_here(const Context& context, const Arguments& arguments, const Options& options) {
  const Plan plan(context, arguments, options.free_extents);
  if (plan.status != LATHE_OK) return plan.status;
  const std::vector<lathe_arg> args = arguments.list();
  lathe_exec exec{};
  exec.size = sizeof exec;
  const lathe_status status = lathe_plan_workspace(plan.get(), args.data(), args.size(), &exec.workspace_bytes);
  if (status != LATHE_OK) return status;
  struct alignas(64) Line {
    std::array<float, 16> numbers;
  };
  Line line;
  line.numbers.fill(std::numeric_limits<float>::quiet_NaN());
  static std::vector<Line> workspace;
  workspace.assign((exec.workspace_bytes + sizeof line - 1) / sizeof line, line);
  exec.workspace = workspace.data();
  return run(context, plan, arguments, &exec);
}

}  // namespace

void perform(const Arguments& arguments, const Options& options) {
  const Context& context = shared_context(options.threads);
  const lathe_status status = (run_elsewhere ? run_elsewhere : run_here)(context, arguments, options);
  if (status != LATHE_OK) ADD_FAILURE() << "status " << status << ": " << context.error() << "\n" << arguments.text();
  for (const auto& [role, tensor] : arguments.tensors)
    EXPECT_TRUE(tensor->surroundings_intact()) << "written outside role " << role << "\n" << arguments.text();
}

Answer call(const std::string& op, const Problem& problem, const Options& options) {
  const Arguments arguments(op, problem, options);
  perform(arguments, options);
  return arguments.outputs();
}

nlohmann::json list(const char* what) {
  size_t need = 0;
  lathe_list(what, nullptr, 0, &need);
  std::string text(need, '\0');
  if (lathe_list(what, text.data(), text.size(), &need) != LATHE_OK) ADD_FAILURE() << "lathe_list " << what;
  return nlohmann::json::parse(text.c_str(), nullptr, false);
}

std::vector<std::string> operators() { return list("ops"); }

int64_t chunk_of(const std::string& op, const Problem& problem, const Options& options) {
  const Arguments arguments(op, problem, options);
  const Context& context = shared_context(options.threads);
  const Plan plan(context, arguments);
  if (plan.status != LATHE_OK) {
    ADD_FAILURE() << context.error() << "\n" << arguments.text();
    return 1;
  }
  return plan.describe().value("chunk", int64_t{1});
}

}  // namespace support
