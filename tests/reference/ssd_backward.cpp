// Gradients of Mamba-2's recurrence: those of the gated scan inside it, by the chain rule through what stands around
// it.
#include <cmath>

#include "backward.h"

namespace reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double silu(double x) { return x * sigmoid(x); }
double slope_of_silu(double x) { return sigmoid(x) * (1 + x * (1 - sigmoid(x))); }

// The step of a token and head, and its slope by DT.
struct Step {
  double value, slope;
};
Step step_of(const Problem& p, int64_t token, int64_t head) {
  const double raw = p.dt[static_cast<size_t>(token * p.state_heads() + head)] +
                     (p.dt_bias.empty() ? 0 : p.dt_bias[static_cast<size_t>(head)]);
  if (p.softplus) return {raw > 0 ? raw + std::log1p(std::exp(-raw)) : std::log1p(std::exp(raw)), sigmoid(raw)};
  return p.clamp && raw < 0 ? Step{0, 0} : Step{raw, 1};
}

double rate(const Problem& p, int64_t head) {
  const double a = p.decay[static_cast<size_t>(head)];
  return p.clamp && a > 0 ? 0 : a;
}

Problem scan_inside(const Problem& p) {
  Problem inner = p;
  inner.variant = "gate";
  inner.clamp = false;
  for (auto* part : {&inner.decay, &inner.dt, &inner.dt_bias, &inner.skip, &inner.out_gate}) part->clear();
  const int64_t H = p.state_heads();
  for (int64_t i = 0; i < p.B * p.T * H; ++i) {
    const double dt = step_of(p, i / H, i % H).value;
    inner.gate.push_back(dt == 0 ? 0 : rate(p, i % H) * dt);
    for (int64_t e = 0; e < p.V; ++e) inner.v[static_cast<size_t>(i * p.V + e)] *= dt;
  }
  return inner;
}

void add(GradientAnswers& a, std::vector<double> Gradients::*part, int64_t i, double x, double size) {
  (a.value.*part)[static_cast<size_t>(i)] += x;
  (a.size.*part)[static_cast<size_t>(i)] += size;
}

}  // namespace

GradientAnswers backward_of_steps(const Problem& p, const Given& given) {
  const int64_t H = p.state_heads(), HO = p.out_heads(), V = p.V;
  const Problem inner = scan_inside(p);
  const Answers y = variants().at("gate").causal(inner);
  Given passed = given;
  for (size_t i = 0; i < passed.o.size() && !p.out_gate.empty(); ++i) passed.o[i] *= silu(p.out_gate[i]);
  const GradientAnswers of_scan = backward(inner, passed, true);
  GradientAnswers all = of_scan;
  const auto begin = [&](std::vector<double> Gradients::*part, const std::vector<double>& like) {
    (all.value.*part).assign(like.size(), 0);
    (all.size.*part).assign(like.size(), 0);
  };
  begin(&Gradients::gate, {});
  begin(&Gradients::v, p.v);
  begin(&Gradients::decay, p.decay);
  begin(&Gradients::dt, p.dt);
  begin(&Gradients::dt_bias, p.dt_bias);
  begin(&Gradients::skip, p.skip);
  begin(&Gradients::out_gate, p.out_gate);
  for (const Sequence& s : sequences(p))
    for (int64_t token = s.b * p.T + s.first; token < s.b * p.T + s.first + s.count; ++token) {
      for (int64_t h = 0; h < HO; ++h) {
        const int64_t head = shared_head(p, h, HO, H);
        const double skip = p.skip.empty() ? 0 : p.skip[static_cast<size_t>(head)];
        for (int64_t e = 0; e < V; ++e) {
          const int64_t o = (token * HO + h) * V + e, at = (token * H + head) * V + e;
          const auto n = static_cast<size_t>(o), m = static_cast<size_t>(at);
          add(all, &Gradients::v, at, skip * passed.o[n], std::abs(skip * passed.o[n]));
          if (!p.skip.empty()) add(all, &Gradients::skip, head, passed.o[n] * p.v[m], std::abs(passed.o[n] * p.v[m]));
          if (p.out_gate.empty()) continue;
          const double by = given.o[n] * slope_of_silu(p.out_gate[n]);
          add(all, &Gradients::out_gate, o, by * (y.value.o[n] + skip * p.v[m]),
              std::abs(given.o[n]) * (1 + std::abs(p.out_gate[n])) * (y.size.o[n] + std::abs(skip * p.v[m])));
        }
      }
      for (int64_t head = 0; head < H; ++head) {
        const int64_t at = token * H + head;
        const auto [dt, slope] = step_of(p, token, head);
        const size_t g = static_cast<size_t>(at);
        const double a = rate(p, head), of_decay = of_scan.value.gate[g], decay_size = of_scan.size.gate[g];
        double by_step = a * of_decay, size = std::abs(a) * decay_size;
        for (int64_t e = 0; e < V; ++e) {
          const auto n = static_cast<size_t>(at * V + e);
          by_step += p.v[n] * of_scan.value.v[n];
          size += std::abs(p.v[n]) * of_scan.size.v[n];
          add(all, &Gradients::v, at * V + e, dt * of_scan.value.v[n], std::abs(dt) * of_scan.size.v[n]);
        }
        const bool clamped = p.clamp && p.decay[static_cast<size_t>(head)] > 0;
        add(all, &Gradients::decay, head, clamped ? 0 : dt * of_decay, std::abs(dt) * decay_size);
        add(all, &Gradients::dt, at, slope * by_step, slope * size);
        if (!p.dt_bias.empty()) add(all, &Gradients::dt_bias, head, slope * by_step, slope * size);
      }
    }
  return all;
}

}  // namespace reference
