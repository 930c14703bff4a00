#include "evaluator.h"

#include <algorithm>
#include <utility>

namespace lathe::gen {

using namespace Halide;
using namespace Halide::Internal;

Evaluator::Value Evaluator::of(const Expr& e) {
  value_ = std::nullopt;
  e.accept(this);
  return std::exchange(value_, std::nullopt);
}

template <typename Node, typename Work>
void Evaluator::both(const Node* op, Work work) {
  const Value a = of(op->a), b = of(op->b);
  value_ = a && b ? work(*a, *b) : Value();
}
void Evaluator::visit(const IntImm* op) { value_ = op->value; }
void Evaluator::visit(const UIntImm* op) { value_ = static_cast<int64_t>(op->value); }
void Evaluator::visit(const FloatImm*) { value_ = std::nullopt; }
void Evaluator::visit(const StringImm*) { value_ = std::nullopt; }
void Evaluator::visit(const Variable* op) {
  if (const auto found = names.find(op->name); found != names.end())
    value_ = found->second;
  else if (const auto number = estimates_.find(op->name); number != estimates_.end())
    value_ = static_cast<int64_t>(number->second[0]);
  else
    value_ = std::nullopt;
}
void Evaluator::visit(const Cast* op) { value_ = of(op->value); }
void Evaluator::visit(const Broadcast*) { value_ = std::nullopt; }
void Evaluator::visit(const Ramp*) { value_ = std::nullopt; }
void Evaluator::visit(const Load*) { value_ = std::nullopt; }
void Evaluator::visit(const Add* op) {
  both(op, [](int64_t a, int64_t b) { return a + b; });
}
void Evaluator::visit(const Sub* op) {
  both(op, [](int64_t a, int64_t b) { return a - b; });
}
void Evaluator::visit(const Mul* op) {
  both(op, [](int64_t a, int64_t b) { return a * b; });
}
void Evaluator::visit(const Div* op) {
  both(op, [](int64_t a, int64_t b) { return div_imp(a, b); });
}
void Evaluator::visit(const Mod* op) {
  both(op, [](int64_t a, int64_t b) { return mod_imp(a, b); });
}
void Evaluator::visit(const Min* op) {
  both(op, [](int64_t a, int64_t b) { return std::min(a, b); });
}
void Evaluator::visit(const Max* op) {
  both(op, [](int64_t a, int64_t b) { return std::max(a, b); });
}
void Evaluator::visit(const EQ* op) {
  both(op, [](int64_t a, int64_t b) { return a == b; });
}
void Evaluator::visit(const NE* op) {
  both(op, [](int64_t a, int64_t b) { return a != b; });
}
void Evaluator::visit(const LT* op) {
  both(op, [](int64_t a, int64_t b) { return a < b; });
}
void Evaluator::visit(const LE* op) {
  both(op, [](int64_t a, int64_t b) { return a <= b; });
}
void Evaluator::visit(const GT* op) {
  both(op, [](int64_t a, int64_t b) { return a > b; });
}
void Evaluator::visit(const GE* op) {
  both(op, [](int64_t a, int64_t b) { return a >= b; });
}
void Evaluator::visit(const And* op) {
  both(op, [](int64_t a, int64_t b) { return a && b; });
}
void Evaluator::visit(const Or* op) {
  both(op, [](int64_t a, int64_t b) { return a || b; });
}
void Evaluator::visit(const Not* op) {
  const Value a = of(op->a);
  value_ = a ? Value(!*a) : a;
}
void Evaluator::visit(const Select* op) {
  const Value condition = of(op->condition);
  value_ = condition ? of(*condition ? op->true_value : op->false_value) : condition;
}
void Evaluator::visit(const Let* op) {
  names[op->name] = of(op->value);
  value_ = of(op->body);
}
void Evaluator::visit(const Call* op) {
  if (op->name == Call::buffer_get_extent || op->name == Call::buffer_get_min || op->name == Call::buffer_get_stride) {
    value_ = field(op);
    return;
  }
  if (op->is_intrinsic(
          {Call::likely, Call::likely_if_innermost, Call::promise_clamped, Call::unsafe_promise_clamped})) {
    value_ = of(op->args[0]);
    return;
  }
  if (op->is_intrinsic({Call::shift_left, Call::shift_right})) {
    const Value a = of(op->args[0]), b = of(op->args[1]);
    value_ = !a || !b ? Value() : op->is_intrinsic(Call::shift_left) ? *a << *b : *a >> *b;
    return;
  }
  value_ = std::nullopt;
}

Evaluator::Value Evaluator::field(const Call* op) {
  if (op->name == Call::buffer_get_min) return 0;
  const auto* buffer = op->args[0].as<Variable>();
  const Value dimension = of(op->args[1]);
  if (!buffer || !dimension) return std::nullopt;
  const std::string name = buffer->name.substr(0, buffer->name.rfind(".buffer"));
  const auto found = estimates_.find(name);
  if (found == estimates_.end()) return std::nullopt;
  const bool stride = op->name == Call::buffer_get_stride;
  if (found->second.size() == 1 && stride) return 0;
  if (found->second.size() <= static_cast<size_t>(*dimension)) return std::nullopt;
  const auto extent = [&](int64_t d) { return static_cast<int64_t>(found->second[static_cast<size_t>(d)]); };
  if (!stride) return extent(*dimension);
  int64_t floats = *dimension > 0 && extent(*dimension) == 1 ? 0 : 1;
  for (int64_t d = 0; d < *dimension; d++) floats *= extent(d);
  return floats;
}

}  // namespace lathe::gen
