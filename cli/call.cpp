#include "call.h"

namespace lathe::cli {

namespace {

template <typename Ask>
nlohmann::json ask_for_json(Ask&& ask) {
  size_t need = 0;
  if (ask(nullptr, 0, &need) != LATHE_OK) throw Failure(lathe_last_error(nullptr));
  std::string text(need, '\0');
  ask(text.data(), text.size(), &need);
  return nlohmann::json::parse(text.c_str());
}

}  // namespace

Call::Call(const What& what, const Arguments& shapes, int threads) {
  lathe_config config = {};
  config.size = sizeof config;
  config.threads = threads;
  if (lathe_context_create(&config, &context_) != LATHE_OK) throw Failure(lathe_last_error(nullptr));
  lathe_desc desc = {};
  desc.size = sizeof desc;
  desc.op = what.op.c_str();
  desc.variant = what.variant.c_str();
  desc.map = what.map.c_str();
  desc.scale = 1;
  desc.eps = what.normalise ? 1e-6f : 0;
  desc.flags = what.normalise ? LATHE_NORMALISE : 0;
  std::vector<lathe_attr> attributes;
  for (const auto& [name, value] : what.attributes) attributes.push_back({name.c_str(), value});
  desc.attrs = attributes.data();
  desc.n_attrs = attributes.size();
  if (lathe_plan_create(context_, &desc, shapes.data(), shapes.size(), &plan_) != LATHE_OK) {
    const std::string why = lathe_last_error(context_);
    lathe_context_destroy(context_);
    throw Failure(why);
  }
}

Call::~Call() {
  lathe_plan_destroy(plan_);
  lathe_context_destroy(context_);
}

void Call::run(const Arguments& arguments) {
  if (lathe_run(context_, plan_, arguments.data(), arguments.size(), nullptr) != LATHE_OK)
    throw Failure(lathe_last_error(context_));
}

nlohmann::json Call::describe() const {
  return ask_for_json([&](char* json, size_t cap, size_t* need) { return lathe_describe(plan_, json, cap, need); });
}

nlohmann::json to_json(const Timed& timed) {
  const double each = timed.seconds / static_cast<double>(timed.tokens);
  return {{"what", timed.what},
          {"microseconds_per_token", 1e6 * each},
          {"useful_gflops", 1e-9 * timed.flops_per_token / each},
          {"tokens", timed.tokens},
          {"call", timed.description}};
}

nlohmann::json list_of(const std::string& what) {
  return ask_for_json([&](char* json, size_t cap, size_t* need) { return lathe_list(what.c_str(), json, cap, need); });
}

}  // namespace lathe::cli
