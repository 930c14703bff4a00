// The C functions: no exception leaves them, no argument is believed.
#include <cstring>
#include <new>

#include "context.h"
#include "describe.h"
#include "device/walk.h"
#include "projection.h"
#include "self_test.h"
#include "structure.h"

namespace {

thread_local lathe::ErrorText error_of_thread;

// Errors are the library's; whatever else comes is the language's own, or came out of a function of the caller's.
template <typename Body>
lathe_status guarded(lathe::ErrorText& error, Body&& body) noexcept {
  try {
    body();
    return LATHE_OK;
  } catch (const lathe::Error& e) {
    error.set(e.what());
    return e.status();
  } catch (const std::bad_alloc&) {
    error.set("memory: expected some for the library's own lists, got none");
    return LATHE_NO_MEMORY;
  } catch (const std::exception& e) {
    error.set(e.what());
    return LATHE_INTERNAL;
  } catch (...) {
    error.set("expected no exception from the functions of the config, got one");
    return LATHE_INTERNAL;
  }
}

lathe_status write_text(const std::string& text, char* out, size_t cap, size_t* need) {
  if (need) *need = text.size() + 1;
  if (out && cap > 0) {
    const size_t n = std::min(cap - 1, text.size());
    std::memcpy(out, text.data(), n);
    out[n] = 0;
  }
  return LATHE_OK;
}

// Queued when it returns, and computed some time later.
void run_on_queue(lathe_context& context, const lathe::Plan& plan, const lathe::Problem& problem,
                  const lathe_exec* exec) {
  lathe::require(exec != nullptr,
                 "exec: expected the stream and the workspace of a call with device tensors, got null");
  const auto queue = lathe::open_queue(context.queues, plan.device, plan.row.row, *exec);
  for (uint32_t role = 0; role < lathe::kRoles; role++)
    if (const lathe::Tensor& t = problem[role]; t.memory && !t.empty()) queue->accept(lathe::find_role(role)->name, t);
  const size_t bytes = lathe::device_workspace(plan, problem);
  if (!exec->workspace || exec->workspace_bytes < bytes)
    lathe::fail(
        LATHE_WORKSPACE,
        "exec.workspace: expected {} bytes of the device's memory, since the library allocates none there, got {}",
        bytes, exec->workspace ? exec->workspace_bytes : 0);
  for (uint32_t role = 0; role < lathe::kRoles; role++)
    if (problem[role].memory == exec->workspace)
      lathe::fail(LATHE_WORKSPACE, "exec.workspace: expected memory of its own, got that of {}",
                  lathe::find_role(role)->name);
  lathe::run_on_device(plan, problem, *queue, queue->workspace(exec->workspace, bytes));
}

}  // namespace

extern "C" {

lathe_status lathe_context_create(const lathe_config* config, lathe_context** context) {
  return guarded(error_of_thread, [&] {
    lathe::require(context != nullptr, "context: expected one, got null");
    *context = nullptr;
    lathe_config given{};
    if (config) {
      lathe::check_structure(*config, "config");
      given = *config;
    }
    *context = new lathe_context(given);
  });
}

void lathe_context_destroy(lathe_context* context) { delete context; }

lathe_status lathe_plan_create(lathe_context* context, const lathe_desc* desc, const lathe_arg* args, size_t n_args,
                               lathe_plan** plan) {
  lathe::ErrorText& error = context ? context->error : error_of_thread;
  return guarded(error, [&] {
    lathe::require(context != nullptr, "context: expected one, got null");
    lathe::require(plan != nullptr, "plan: expected one, got null");
    *plan = nullptr;
    lathe::require(desc != nullptr, "desc: expected one, got null");
    *plan = new lathe_plan{lathe::make_plan(*desc, args, n_args, context->threads())};
  });
}

void lathe_plan_destroy(lathe_plan* plan) { delete plan; }

lathe_status lathe_plan_workspace(const lathe_plan* plan, const lathe_arg* args, size_t n_args, size_t* bytes) {
  return guarded(error_of_thread, [&] {
    lathe::require(plan != nullptr, "plan: expected one, got null");
    lathe::require(bytes != nullptr, "bytes: expected one, got null");
    lathe::SlotList slots;
    const lathe::Problem problem = lathe::bind_run(plan->plan, args, n_args, slots);
    *bytes = problem.device == lathe::kCpu ? lathe::workspace_bytes(plan->plan, problem)
                                           : lathe::device_workspace(plan->plan, problem);
  });
}

lathe_status lathe_run(lathe_context* context, const lathe_plan* plan, const lathe_arg* args, size_t n_args,
                       const lathe_exec* exec) {
  lathe::ErrorText& error = context ? context->error : error_of_thread;
  return guarded(error, [&] {
    lathe::require(context != nullptr, "context: expected one, got null");
    lathe::require(plan != nullptr, "plan: expected one, got null");
    if (exec) lathe::check_structure(*exec, "exec");
    const lathe::Problem problem = lathe::bind_run(plan->plan, args, n_args, context->room.slots);
    if (problem.device != lathe::kCpu) return run_on_queue(*context, plan->plan, problem, exec);
    const size_t bytes = lathe::workspace_bytes(plan->plan, problem);
    char* workspace;
    if (exec && exec->workspace) {
      if (exec->workspace_bytes < bytes || reinterpret_cast<uintptr_t>(exec->workspace) % 64 != 0)
        lathe::fail(LATHE_WORKSPACE, "exec.workspace: expected {} bytes, 64-byte aligned, got {} at {}", bytes,
                    exec->workspace_bytes, lathe::place(exec->workspace));
      workspace = static_cast<char*>(exec->workspace);
      lathe::check_workspace(problem, workspace, bytes);
    } else {
      workspace = context->scratch(bytes);
    }
    lathe::run(plan->plan, problem, workspace, context->parallel(), context->room);
  });
}

lathe_status lathe_describe(const lathe_plan* plan, char* json, size_t cap, size_t* need) {
  return guarded(error_of_thread, [&] {
    lathe::require(plan != nullptr, "plan: expected one, got null");
    write_text(lathe::describe(plan->plan), json, cap, need);
  });
}

lathe_status lathe_list(const char* what, char* json, size_t cap, size_t* need) {
  return guarded(error_of_thread, [&] {
    lathe::require(what != nullptr, "what: expected one, got null");
    write_text(lathe::list(what), json, cap, need);
  });
}

lathe_status lathe_self_test(lathe_context* context, char* json, size_t cap, size_t* need) {
  lathe::ErrorText& error = context ? context->error : error_of_thread;
  return guarded(error, [&] {
    const lathe::SelfTest test = lathe::self_test(json || need);
    write_text(lathe::to_json(test), json, cap, need);
    for (const lathe::Check& c : test.checks)
      if (!c.fault.empty())
        lathe::fail(LATHE_INTERNAL,
                    "self-test: {} {} {} {}{} on {}: {}. This library computes wrong results here: build it anew, or "
                    "pin another row with LATHE_TARGET",
                    c.op, c.variant, c.map, c.dtype, c.normalise ? " normalised" : "", test.row, c.fault);
  });
}

lathe_status lathe_draw_projection(uint64_t seed, int orthogonal, int unit_norms, int64_t m, int64_t d, float* out) {
  return guarded(error_of_thread, [&] {
    lathe::require(out != nullptr, "out: expected one, got null");
    lathe::require(m >= 0 && m <= 65536, "m: expected 0 to 65536 rows, got {}", m);
    lathe::require(d >= 1 && d <= 1024, "d: expected 1 to 1024 columns, got {}", d);
    lathe::draw_projection(seed, orthogonal != 0, unit_norms != 0, m, d, out);
  });
}

lathe_status lathe_map_width(const char* map, int64_t d, int64_t m, const lathe_attr* attrs, size_t n_attrs,
                             int64_t* k) {
  return guarded(error_of_thread, [&] {
    lathe::require(map != nullptr && k != nullptr, "{}: expected one, got null", map ? "k" : "map");
    lathe::require(d >= 1 && d <= 1024, "d: expected a head width of 1 to 1024, got {}", d);
    lathe::require(m >= 0 && m <= 65536, "m: expected 0 to 65536 rows of a projection, got {}", m);
    lathe_desc desc{};
    desc.size = sizeof desc;
    desc.op = "causal";
    desc.map = map;
    desc.attrs = attrs;
    desc.n_attrs = n_attrs;
    const lathe::Meaning meaning = lathe::understand(desc);
    *k = meaning.map->width(d, m, meaning.attribute_given ? meaning.attribute : meaning.map->fallback(d));
  });
}

const char* lathe_last_error(const lathe_context* context) {
  return context ? context->error.get() : error_of_thread.get();
}

#define LATHE_TEXT_(x) #x
#define LATHE_TEXT(x) LATHE_TEXT_(x)
const char* lathe_version(void) {
  return LATHE_TEXT(LATHE_VERSION_MAJOR) "." LATHE_TEXT(LATHE_VERSION_MINOR) "." LATHE_TEXT(LATHE_VERSION_PATCH);
}

}  // extern "C"
