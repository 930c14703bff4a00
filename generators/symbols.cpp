#include "symbols.h"

#include <stdexcept>

#include "vmath.h"

using namespace Halide;

namespace lathe::gen {

namespace {

using Internal::Call;

struct Symbol {
  const char* name;
  Expr (*value)(const Expr&);
  Expr (*slope)(const Expr&);  // in symbols
};
const Symbol symbols[] = {
    {"exponential", exponential, [](const Expr& x) { return symbol("exponential", x); }},
    {"exponential_of_negative", exponential_of_negative,
     [](const Expr& x) { return symbol("exponential_of_negative", x); }},
    {"sine", sine, [](const Expr& x) { return symbol("cosine", x); }},
    {"cosine", cosine, [](const Expr& x) { return -symbol("sine", x); }},
    // and not max(x, 0): NaN stays NaN
    {"relu", [](const Expr& x) { return select(less(x, 0.f), 0.f, x); },
     [](const Expr& x) { return select(less(0.f, x), 1.f, 0.f); }},
    {"sigmoid", [](const Expr& x) { return 1.f / (1.f + exponential(-x)); },
     [](const Expr& x) { return symbol("sigmoid", x) * symbol("sigmoid", -x); }},
    // divided at once: where e^-x is large, 1 / (1 + e^-x) would be denormal
    {"silu", [](const Expr& x) { return x / (1.f + exponential(-x)); },
     [](const Expr& x) { return symbol("sigmoid", x) * (1.f + x * symbol("sigmoid", -x)); }},
};

const Symbol* find(const std::string& name) {
  for (const Symbol& s : symbols)
    if (name == s.name) return &s;
  return nullptr;
}

class Lowering : public Internal::IRMutator {
  using IRMutator::visit;
  Expr visit(const Call* call) override {
    Expr e = IRMutator::visit(call);
    const Symbol* s = call->call_type == Call::PureExtern ? find(call->name) : nullptr;
    return s ? s->value(e.as<Call>()->args[0]) : e;
  }
};

// Sums and products in which an undefined factor is zero.
Expr sum(const Expr& a, const Expr& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }
Expr product(const Expr& slope, const Expr& factor) { return slope.defined() ? slope * factor : slope; }
Expr negative(const Expr& a) { return a.defined() ? -a : a; }
Expr zero_if_none(const Expr& a) { return a.defined() ? a : 0.f; }

}  // namespace

Expr symbol(const char* name, const Expr& x) { return Call::make(Float(32), name, {x}, Call::PureExtern); }

Expr lowered(const Expr& e) { return Lowering().mutate(e); }

Expr derivative(const Expr& e, const std::string& variable) {
  using namespace Internal;
  if (!expr_uses_var(e, variable)) return {};
  const auto slope = [&](const Expr& inner) { return derivative(inner, variable); };
  if (e.as<Variable>()) return 1.f;
  if (const Add* op = e.as<Add>()) return sum(slope(op->a), slope(op->b));
  if (const Sub* op = e.as<Sub>()) return sum(slope(op->a), negative(slope(op->b)));
  if (const Mul* op = e.as<Mul>()) return sum(product(slope(op->a), op->b), product(slope(op->b), op->a));
  if (const Div* op = e.as<Div>()) {
    // (a' - (a/b) b') / b, so that no square leaves the range
    Expr falling = product(slope(op->b), e);
    Expr rise = sum(slope(op->a), negative(falling));
    return rise.defined() ? rise / op->b : rise;
  }
  if (const Select* op = e.as<Select>())
    return select(op->condition, zero_if_none(slope(op->true_value)), zero_if_none(slope(op->false_value)));
  if (const Call* op = e.as<Call>()) {
    if (const Symbol* s = find(op->name)) return slope(op->args[0]) * s->slope(op->args[0]);
    if (op->name == "sqrt_f32") return slope(op->args[0]) * 0.5f / e;
  }
  throw std::logic_error(
      "generators/symbols.cpp has no rule for the derivative of this part of a feature map's formula");
}

}  // namespace lathe::gen
