// The C interface under calls from bytes: nothing crashes, refusals touch nothing, and a valid call is accepted and
// fills what it should.
#include <fmt/format.h>
#include <lathe.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "drawn_call.h"

namespace {

[[noreturn]] void found(const std::string& what) {
  fmt::print(stderr, "lathe_fuzz: {}\n", what);
  std::abort();
}

lathe_context* context_of(int threads) {
  static lathe_context* contexts[3] = {};
  lathe_context*& context = contexts[threads];
  lathe_config config{};
  config.size = sizeof config;
  config.threads = threads;
  if (!context && lathe_context_create(&config, &context) != LATHE_OK) found(lathe_last_error(nullptr));
  return context;
}

void read_texts(const lathe_plan* plan, fuzz::Bytes& bytes) {
  const size_t cap = static_cast<size_t>(bytes.below(300));
  const auto text = std::make_unique<char[]>(cap);
  size_t need = 0;
  if (lathe_describe(plan, text.get(), cap, &need) != LATHE_OK || need == 0) found("describe refuses a plan");
  static constexpr const char* kLists[] = {"ops", "variants", "maps", "dtypes", "targets", "kernels", "", nullptr};
  lathe_list(kLists[bytes.below(8)], text.get(), cap, &need);
}

void run(lathe_context* context, const lathe_plan* plan, const fuzz::DrawnCall& call, fuzz::Bytes& bytes) {
  const auto args = call.list();
  size_t need = 0;
  const lathe_status asked = lathe_plan_workspace(plan, args.data(), args.size(), &need);
  lathe_status status;
  if (bytes.either() && asked == LATHE_OK) {
    support::Guarded workspace((need + 63) / 64 * 64, support::Edge::First);
    const lathe_exec exec{sizeof exec, workspace.data(), need, nullptr, nullptr};
    status = lathe_run(context, plan, args.data(), args.size(), &exec);
    if (!workspace.slack_intact()) found("written past the workspace");
  } else {
    status = lathe_run(context, plan, args.data(), args.size(), nullptr);
  }
  if (status == LATHE_NO_MEMORY) return;
  if ((status == LATHE_OK) != (asked == LATHE_OK)) found("lathe_plan_workspace and lathe_run disagree");
  if (status != LATHE_OK && !call.spoiled) found(fmt::format("a valid call is refused: {}", lathe_last_error(context)));
  const std::string fault = status == LATHE_OK ? call.fault_after_run() : call.fault_after_refusal();
  if (!fault.empty()) found(fault);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  fuzz::DrawnCall call(bytes);
  lathe_context* context = context_of(static_cast<int>(bytes.between(1, 2)));
  const auto args = bytes.below(4) == 0 ? call.open_list() : call.list();
  lathe_plan* plan = nullptr;
  const lathe_status status = lathe_plan_create(context, &call.desc, args.data(), args.size(), &plan);
  if ((status == LATHE_OK) != (plan != nullptr)) found("a plan without LATHE_OK, or the reverse");
  if (status == LATHE_INTERNAL) found(lathe_last_error(context));
  if (status != LATHE_OK && !call.spoiled) found(fmt::format("a valid plan is refused: {}", lathe_last_error(context)));
  if (status != LATHE_OK && *lathe_last_error(context) == 0) found("refused without a word");
  if (plan) read_texts(plan, bytes);
  if (plan && call.has_memory) run(context, plan, call, bytes);
  lathe_plan_destroy(plan);
  return 0;
}
