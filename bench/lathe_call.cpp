#include "lathe_call.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "../cli/arguments.h"
#include "lathe.h"

namespace lathe::bench {

namespace {

cli::Arguments arguments_of(Problem& p) {
  const Case& c = p.what;
  const Shape& s = c.shape;
  cli::Arguments args;
  const auto rows = [&](uint32_t role, const Memory& memory, int64_t head_count, int64_t width) {
    const int64_t block = s.tokens * head_count * width;
    const bool by_head = c.layout == Layout::kBhtd;
    args.add(role, memory.data(), {s.batch, s.tokens, head_count, width}, c.dtype,
             {block, by_head ? width : head_count * width, by_head ? s.tokens * width : width, 1});
  };
  rows(LATHE_Q, p.q, s.query_heads, s.width);
  const auto keys = [&](uint32_t role, const Memory& memory) {
    const int64_t width = c.keys * s.width;
    if (c.keys == 1) return rows(role, memory, s.key_heads, width);
    const bool by_head = c.layout == Layout::kBhtd;
    args.add(role, memory.data(), {s.batch, s.tokens, s.key_heads, c.keys, s.width}, c.dtype,
             {s.tokens * s.key_heads * width, by_head ? width : s.key_heads * width, by_head ? s.tokens * width : width,
              s.width, 1});
  };
  keys(LATHE_K, p.k);
  rows(LATHE_V, p.v, s.key_heads, s.value_width);
  if (is_backward(c)) {
    rows(LATHE_GRAD | LATHE_O, p.d_o, heads(c), s.value_width);
    rows(LATHE_GRAD | LATHE_Q, p.d_q, s.query_heads, s.width);
    keys(LATHE_GRAD | LATHE_K, p.d_k);
    rows(LATHE_GRAD | LATHE_V, p.d_v, s.key_heads, s.value_width);
  } else {
    rows(LATHE_O, p.o, heads(c), s.value_width);
  }
  if (c.op == "decode") {
    const std::vector<int64_t> states = {s.batch, s.key_heads, key_width(c), s.value_width};
    args.add(LATHE_STATE_IN, p.state.data(), states, "f32");
    args.add(LATHE_STATE_OUT, p.state.data(), states, "f32");
    if (c.normalise) {
      args.add(LATHE_Z_IN, p.z.data(), {s.batch, s.key_heads, key_width(c)}, "f32");
      args.add(LATHE_Z_OUT, p.z.data(), {s.batch, s.key_heads, key_width(c)}, "f32");
    }
  }
  if (s.projections > 0) args.add(LATHE_PROJECTION, p.projection.data(), {s.projections, s.width}, "f32");
  return args;
}

class Call : public LatheCall {
 public:
  Call(Problem& problem, std::string* why) : problem_(problem), args_(arguments_of(problem)) {
    const Case& c = problem.what;
    lathe_config config = {};
    config.size = sizeof config;
    config.threads = c.threads;
    if (lathe_context_create(&config, &context_) != LATHE_OK) {
      *why = lathe_last_error(nullptr);
      return;
    }
    if (c.keys > 1) {
      mixture_ = std::make_unique<Memory>(static_cast<size_t>(c.shape.key_heads * c.keys) * sizeof(float));
      std::fill_n(mixture_->floats(), c.shape.key_heads * c.keys, problem.weight_of_key());
      args_.add(LATHE_MIXTURE, mixture_->data(), {c.shape.key_heads, c.keys}, "f32");
    }
    if (moves(c) || foresees(c)) add_momentum(c);
    if (has_decay(c)) {
      decay_ = std::make_unique<Memory>(static_cast<size_t>(c.shape.key_heads) * sizeof(float));
      std::fill_n(decay_->floats(), c.shape.key_heads, problem.log_decay);
      args_.add(LATHE_DECAY, decay_->data(), {c.shape.key_heads}, "f32");
      if (is_backward(c)) args_.add(LATHE_GRAD | LATHE_DECAY, problem.d_gate.data(), {c.shape.key_heads}, "f32");
    }
    std::vector<int64_t> gates = {c.shape.batch, c.shape.tokens, c.shape.key_heads};
    if (gate_width(c) > 1) gates.push_back(gate_width(c));
    if (gate_width(c) > 0) args_.add(LATHE_GATE, problem.gate.data(), gates, "f32");
    if (gate_width(c) > 0 && is_backward(c)) args_.add(LATHE_GRAD | LATHE_GATE, problem.d_gate.data(), gates, "f32");
    const auto also = [&](bool present, uint32_t role, Memory& memory, Memory& gradient,
                          const std::vector<int64_t>& shape) {
      if (!present) return;
      args_.add(role, memory.data(), shape, "f32");
      if (is_backward(c)) args_.add(LATHE_GRAD | role, gradient.data(), shape, "f32");
    };
    also(has_bonus(c), LATHE_BONUS, problem.bonus, problem.d_bonus, {c.shape.key_heads, key_width(c)});
    also(has_steps(c), LATHE_DT, problem.steps, problem.d_steps, {c.shape.batch, c.shape.tokens, c.shape.key_heads});
    for (const auto& [role, memory] : {std::pair{LATHE_A, &problem.reads}, {LATHE_B, &problem.adds}})
      if (has_rows(c)) args_.add(static_cast<uint32_t>(role), memory->data(), gates, "f32");
    also(corrects(c), LATHE_BETA, problem.beta, problem.d_beta, {c.shape.batch, c.shape.tokens, c.shape.key_heads});
    lathe_desc desc = {};
    desc.size = sizeof desc;
    desc.op = c.op.c_str();
    desc.variant = c.variant.c_str();
    desc.map = c.map.c_str();
    desc.scale = problem.scale;
    desc.eps = problem.eps;
    desc.flags = c.normalise ? LATHE_NORMALISE : 0;
    if (lathe_plan_create(context_, &desc, args_.data(), args_.size(), &plan_) != LATHE_OK) {
      *why = lathe_last_error(context_);
      plan_ = nullptr;
      return;
    }
    describe();
  }
  ~Call() override {
    if (plan_ != nullptr) lathe_plan_destroy(plan_);
    if (context_ != nullptr) lathe_context_destroy(context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool ready() const { return plan_ != nullptr; }

  double seconds(int repeats) override {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; i++)
      if (lathe_run(context_, plan_, args_.data(), args_.size(), nullptr) != LATHE_OK) failed_ = true;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  std::vector<float> output() override { return problem_.output(); }
  std::string note() const override { return description_.value("record", ""); }
  std::string failure() const override { return failed_ ? lathe_last_error(context_) : ""; }
  int chunk() const override { return description_.value("chunk", 0); }
  std::string target() const override { return description_.value("target", ""); }

 private:
  void add_momentum(const Case& c) {
    const Shape& s = c.shape;
    decay_ = std::make_unique<Memory>(static_cast<size_t>(2 * s.key_heads) * sizeof(float));
    float* sizes = decay_->floats() + s.key_heads;
    std::fill_n(decay_->floats(), s.key_heads, problem_.log_decay);
    std::fill_n(sizes, s.key_heads, problem_.step_size);
    if (!adapts(c)) args_.add(LATHE_DECAY, decay_->data(), {s.key_heads}, "f32");
    args_.add(LATHE_STEP_SIZE, sizes, {s.key_heads}, "f32");
    if (c.op != "decode") return;  // which only states with a momentum have
    for (const uint32_t role : {LATHE_MOMENTUM_IN, LATHE_MOMENTUM_OUT})
      args_.add(role, problem_.momentum.data(), {s.batch, s.key_heads, key_width(c), s.value_width}, "f32");
    for (const uint32_t role : {LATHE_LAST_TOKEN_IN, LATHE_LAST_TOKEN_OUT})
      if (adapts(c)) args_.add(role, problem_.last.data(), {s.batch, s.key_heads, key_width(c) + s.value_width}, "f32");
  }

  void describe() {
    size_t need = 0;
    lathe_describe(plan_, nullptr, 0, &need);
    std::string text(need, '\0');
    if (lathe_describe(plan_, text.data(), text.size(), &need) != LATHE_OK) return;
    const auto parsed = nlohmann::json::parse(text.c_str(), nullptr, false);
    if (parsed.is_object()) description_ = parsed;
  }

  Problem& problem_;
  cli::Arguments args_;
  std::unique_ptr<Memory> decay_, mixture_;
  lathe_context* context_ = nullptr;
  lathe_plan* plan_ = nullptr;
  nlohmann::json description_ = nlohmann::json::object();
  bool failed_ = false;
};

}  // namespace

std::unique_ptr<LatheCall> LatheCall::open(Problem& problem, std::string* why) {
  auto call = std::make_unique<Call>(problem, why);
  if (!call->ready()) return nullptr;
  return call;
}

}  // namespace lathe::bench
