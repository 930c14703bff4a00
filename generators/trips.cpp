#include "trips.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

namespace lathe::gen {

using namespace Halide;
using namespace Halide::Internal;

namespace {

using Value = std::optional<int64_t>;

// Whole numbers only: what loops and conditions are made of.
class Evaluator : public IRVisitor {
 public:
  explicit Evaluator(const Estimates& estimates) : estimates_(estimates) {}
  std::map<std::string, Value> names;

  Value of(const Expr& e) {
    value_ = std::nullopt;
    e.accept(this);
    return std::exchange(value_, std::nullopt);
  }

 private:
  using IRVisitor::visit;

  template <typename Node, typename Work>
  void both(const Node* op, Work work) {
    const Value a = of(op->a), b = of(op->b);
    value_ = a && b ? work(*a, *b) : Value();
  }
  void visit(const IntImm* op) override { value_ = op->value; }
  void visit(const UIntImm* op) override { value_ = static_cast<int64_t>(op->value); }
  void visit(const FloatImm*) override { value_ = std::nullopt; }
  void visit(const StringImm*) override { value_ = std::nullopt; }
  void visit(const Variable* op) override {
    if (const auto found = names.find(op->name); found != names.end())
      value_ = found->second;
    else if (const auto number = estimates_.find(op->name); number != estimates_.end())
      value_ = static_cast<int64_t>(number->second[0]);
    else
      value_ = std::nullopt;
  }
  void visit(const Cast* op) override { value_ = of(op->value); }
  void visit(const Broadcast*) override { value_ = std::nullopt; }
  void visit(const Ramp*) override { value_ = std::nullopt; }
  void visit(const Load*) override { value_ = std::nullopt; }
  void visit(const Add* op) override {
    both(op, [](int64_t a, int64_t b) { return a + b; });
  }
  void visit(const Sub* op) override {
    both(op, [](int64_t a, int64_t b) { return a - b; });
  }
  void visit(const Mul* op) override {
    both(op, [](int64_t a, int64_t b) { return a * b; });
  }
  void visit(const Div* op) override {
    both(op, [](int64_t a, int64_t b) { return div_imp(a, b); });
  }
  void visit(const Mod* op) override {
    both(op, [](int64_t a, int64_t b) { return mod_imp(a, b); });
  }
  void visit(const Min* op) override {
    both(op, [](int64_t a, int64_t b) { return std::min(a, b); });
  }
  void visit(const Max* op) override {
    both(op, [](int64_t a, int64_t b) { return std::max(a, b); });
  }
  void visit(const EQ* op) override {
    both(op, [](int64_t a, int64_t b) { return a == b; });
  }
  void visit(const NE* op) override {
    both(op, [](int64_t a, int64_t b) { return a != b; });
  }
  void visit(const LT* op) override {
    both(op, [](int64_t a, int64_t b) { return a < b; });
  }
  void visit(const LE* op) override {
    both(op, [](int64_t a, int64_t b) { return a <= b; });
  }
  void visit(const GT* op) override {
    both(op, [](int64_t a, int64_t b) { return a > b; });
  }
  void visit(const GE* op) override {
    both(op, [](int64_t a, int64_t b) { return a >= b; });
  }
  void visit(const And* op) override {
    both(op, [](int64_t a, int64_t b) { return a && b; });
  }
  void visit(const Or* op) override {
    both(op, [](int64_t a, int64_t b) { return a || b; });
  }
  void visit(const Not* op) override {
    const Value a = of(op->a);
    value_ = a ? Value(!*a) : a;
  }
  void visit(const Select* op) override {
    const Value condition = of(op->condition);
    value_ = condition ? of(*condition ? op->true_value : op->false_value) : condition;
  }
  void visit(const Let* op) override {
    names[op->name] = of(op->value);
    value_ = of(op->body);
  }
  void visit(const Call* op) override {
    if (op->name == Call::buffer_get_extent || op->name == Call::buffer_get_min) {
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

  Value field(const Call* op) {
    if (op->name == Call::buffer_get_min) return 0;
    const auto* buffer = op->args[0].as<Variable>();
    const Value dimension = of(op->args[1]);
    if (!buffer || !dimension) return std::nullopt;
    const std::string name = buffer->name.substr(0, buffer->name.rfind(".buffer"));
    const auto found = estimates_.find(name);
    if (found == estimates_.end() || found->second.size() <= static_cast<size_t>(*dimension)) return std::nullopt;
    return static_cast<int64_t>(found->second[static_cast<size_t>(*dimension)]);
  }

  const Estimates& estimates_;
  Value value_;
};

// Runs the loops and nothing else.
class Runner : public IRVisitor {
 public:
  explicit Runner(const Estimates& estimates) : evaluator_(estimates) {}
  std::vector<LoopTrips> loops;

 private:
  using IRVisitor::visit;

  void visit(const LetStmt* op) override {
    evaluator_.names[op->name] = evaluator_.of(op->value);
    op->body.accept(this);
  }
  void visit(const Store*) override {}
  void visit(const Evaluate*) override {}
  void visit(const IfThenElse* op) override {
    const Value condition = evaluator_.of(op->condition);
    // loops of a branch that is not taken have their places all the same
    const bool taken = !condition || *condition, other = !condition || !*condition;
    branch(op->then_case, taken);
    if (op->else_case.defined()) branch(op->else_case, other);
  }
  void branch(const Stmt& s, bool taken) {
    const bool before = std::exchange(counts_, counts_ && taken);
    s.accept(this);
    counts_ = before;
  }
  void visit(const For* op) override {
    const auto [at, fresh] = places_.try_emplace(op, loops.size());
    const size_t place = at->second;
    if (fresh) loops.push_back({op->name, 0, true});
    if (fresh && outer_) loops[*outer_].innermost = false;
    const Value min = evaluator_.of(op->min), extent = evaluator_.of(op->extent);
    if (counts_ && (!min || !extent))
      throw std::invalid_argument(fmt::format("how often '{}' runs hangs on more than the estimates tell", op->name));
    const int64_t rounds = counts_ ? std::max<int64_t>(*extent, 0) : 0;
    loops[place].trips += rounds;
    const auto outer = std::exchange(outer_, place);
    // once at least, so that what is inside has a place; a loop without loops inside needs no second round
    for (int64_t i = 0; i < std::max<int64_t>(rounds, 1); i++) {
      const bool before = std::exchange(counts_, counts_ && rounds > 0);
      evaluator_.names[op->name] = min.value_or(0) + i;
      op->body.accept(this);
      counts_ = before;
      if (loops[place].innermost) break;
    }
    outer_ = outer;
  }

  Evaluator evaluator_;
  std::map<const For*, size_t> places_;
  std::optional<size_t> outer_;
  bool counts_ = true;
};

}  // namespace

std::vector<LoopTrips> count_trips(const Stmt& body, const Estimates& estimates) {
  Runner runner(estimates);
  body.accept(&runner);
  return runner.loops;
}

}  // namespace lathe::gen
