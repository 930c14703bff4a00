// The C functions: no exception leaves them, no argument is believed.
#include <cstring>
#include <new>

#include "context.h"
#include "describe.h"
#include "projection.h"
#include "status.h"

namespace {

thread_local std::string error_of_thread;

template <typename Body>
lathe_status guarded(std::string& error, Body&& body) noexcept {
  try {
    body();
    return LATHE_OK;
  } catch (const lathe::Error& e) {
    try {
      error = e.what();
    } catch (...) {
      error.clear();
    }
    return e.status();
  } catch (const std::bad_alloc&) {
    error.clear();
    return LATHE_NO_MEMORY;
  } catch (const std::exception& e) {
    try {
      error = e.what();
    } catch (...) {
      error.clear();
    }
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

}  // namespace

extern "C" {

lathe_status lathe_context_create(const lathe_config* config, lathe_context** context) {
  return guarded(error_of_thread, [&] {
    lathe::require(context != nullptr, "context is null");
    *context = nullptr;
    lathe_config given{};
    if (config) {
      lathe::require(config->size >= sizeof(lathe_config), "config.size: expected {}, got {}", sizeof(lathe_config),
                     config->size);
      given = *config;
    }
    *context = new lathe_context(given);
  });
}

void lathe_context_destroy(lathe_context* context) { delete context; }

lathe_status lathe_plan_create(lathe_context* context, const lathe_desc* desc, const lathe_arg* args, size_t n_args,
                               lathe_plan** plan) {
  std::string& error = context ? context->error : error_of_thread;
  return guarded(error, [&] {
    lathe::require(context != nullptr, "context is null");
    lathe::require(plan != nullptr, "plan is null");
    *plan = nullptr;
    lathe::require(desc != nullptr, "desc is null");
    *plan = new lathe_plan{lathe::make_plan(*desc, args, n_args, context->threads())};
  });
}

void lathe_plan_destroy(lathe_plan* plan) { delete plan; }

lathe_status lathe_plan_workspace(const lathe_plan* plan, const lathe_arg* args, size_t n_args, size_t* bytes) {
  return guarded(error_of_thread, [&] {
    lathe::require(plan != nullptr, "plan is null");
    lathe::require(bytes != nullptr, "bytes is null");
    *bytes = lathe::workspace_bytes(plan->plan, lathe::bind_run(plan->plan, args, n_args));
  });
}

lathe_status lathe_run(lathe_context* context, const lathe_plan* plan, const lathe_arg* args, size_t n_args,
                       const lathe_exec* exec) {
  std::string& error = context ? context->error : error_of_thread;
  return guarded(error, [&] {
    lathe::require(context != nullptr, "context is null");
    lathe::require(plan != nullptr, "plan is null");
    lathe::require(!exec || exec->size >= sizeof(lathe_exec), "exec.size: expected {}, got {}", sizeof(lathe_exec),
                   exec->size);
    const lathe::Problem problem = lathe::bind_run(plan->plan, args, n_args);
    const size_t bytes = lathe::workspace_bytes(plan->plan, problem);
    char* workspace;
    if (exec && exec->workspace) {
      if (exec->workspace_bytes < bytes || reinterpret_cast<uintptr_t>(exec->workspace) % 64 != 0)
        lathe::fail(LATHE_WORKSPACE, "exec.workspace: expected {} bytes, 64-byte aligned, got {} at {}", bytes,
                    exec->workspace_bytes, fmt::ptr(exec->workspace));
      workspace = static_cast<char*>(exec->workspace);
    } else {
      workspace = context->scratch(bytes);
    }
    lathe::run(plan->plan, problem, workspace, context->parallel());
  });
}

lathe_status lathe_describe(const lathe_plan* plan, char* json, size_t cap, size_t* need) {
  return guarded(error_of_thread, [&] {
    lathe::require(plan != nullptr, "plan is null");
    write_text(lathe::describe(plan->plan), json, cap, need);
  });
}

lathe_status lathe_list(const char* what, char* json, size_t cap, size_t* need) {
  return guarded(error_of_thread, [&] {
    lathe::require(what != nullptr, "what is null");
    write_text(lathe::list(what), json, cap, need);
  });
}

lathe_status lathe_draw_projection(uint64_t seed, int orthogonal, int unit_norms, int64_t m, int64_t d, float* out) {
  return guarded(error_of_thread, [&] {
    lathe::require(out != nullptr, "out is null");
    lathe::require(m >= 0 && m <= 65536 && d >= 1 && d <= 1024,
                   "projection of {} rows and {} columns: expected at most 65536 and 1 to 1024", m, d);
    lathe::draw_projection(seed, orthogonal != 0, unit_norms != 0, m, d, out);
  });
}

lathe_status lathe_map_width(const char* map, int64_t d, int64_t m, const lathe_attr* attrs, size_t n_attrs,
                             int64_t* k) {
  return guarded(error_of_thread, [&] {
    lathe::require(map != nullptr && k != nullptr, "map or k is null");
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
  return context ? context->error.c_str() : error_of_thread.c_str();
}

#define LATHE_TEXT_(x) #x
#define LATHE_TEXT(x) LATHE_TEXT_(x)
const char* lathe_version(void) {
  return LATHE_TEXT(LATHE_VERSION_MAJOR) "." LATHE_TEXT(LATHE_VERSION_MINOR) "." LATHE_TEXT(LATHE_VERSION_PATCH);
}

}  // extern "C"
