#include "trips.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "evaluator.h"

namespace lathe::gen {

using namespace Halide;
using namespace Halide::Internal;

namespace {

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
    const Evaluator::Value condition = evaluator_.of(op->condition);
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
    const Evaluator::Value min = evaluator_.of(op->min), extent = evaluator_.of(op->extent);
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
