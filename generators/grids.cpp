#include "grids.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

#include "evaluator.h"

namespace lathe::gen {

namespace {

using namespace Halide::Internal;

// halide_cuda_run(state, entry, blocks x 3, threads x 3, shared bytes, sizes, addresses of arguments, ...); sizes end
// with a 0.
class GridFinder : public IRVisitor {
 public:
  GridFinder(const LoweredFunc& function, const Estimates& estimates)
      : function_(function), estimates_(estimates), evaluator_(estimates) {}
  std::vector<Grid> found;

 private:
  using IRVisitor::visit;

  void visit(const LetStmt* op) override {
    op->value.accept(this);
    evaluator_.names[op->name] = evaluator_.of(op->value);
    op->body.accept(this);
  }
  void visit(const IfThenElse* op) override {
    const Evaluator::Value condition = evaluator_.of(op->condition);
    if (!condition || *condition) op->then_case.accept(this);
    if (op->else_case.defined() && (!condition || !*condition)) op->else_case.accept(this);
  }
  void visit(const Call* op) override {
    IRVisitor::visit(op);
    if (!op->name.starts_with("halide_") || !op->name.ends_with("_run") || op->args.size() < 11) return;
    Grid grid{op->args[1].as<StringImm>()->value, {}, {}};
    for (size_t d = 0; d < 3; d++) {
      const Evaluator::Value blocks = evaluator_.of(op->args[2 + d]);
      if (!blocks) throw std::invalid_argument(fmt::format("{}: the estimates do not tell its blocks", grid.entry));
      grid.blocks[d] = *blocks;
    }
    const auto* sizes = op->args[9].as<Call>();
    const auto* arguments = op->args[10].as<Call>();
    if (!sizes || !arguments) throw std::logic_error("a launch of another shape than Halide 21's");
    for (size_t i = 0; i < arguments->args.size(); i++)
      if (const int64_t bytes = evaluator_.of(sizes->args[i]).value_or(0); bytes > 0)
        grid.arguments.push_back(argument(arguments->args[i], bytes));
    found.push_back(grid);
  }

  GridArgument argument(const Halide::Expr& e, int64_t bytes) {
    if (const auto* number = e.as<Call>(); number && number->is_intrinsic(Call::make_struct))
      return {"", bytes, evaluator_.of(number->args.at(0))};
    const auto* variable = e.as<Variable>();
    if (!variable) throw std::logic_error("an argument of another shape than Halide 21's");
    const std::string name = variable->name.substr(0, variable->name.rfind(".buffer"));
    for (const LoweredArgument& known : function_.args)
      if (known.name == name) return filled(known);
    return {name, 0, {}};  // the kernel's own, between its launches
  }

  GridArgument filled(const LoweredArgument& known) const {
    GridArgument buffer{known.name, known.type.bytes(), {}};
    const auto extents = estimates_.find(known.name);
    if (extents == estimates_.end()) return buffer;
    if (extents->second.size() > 1 || known.dimensions <= 1)
      for (const double extent : extents->second) buffer.bytes *= static_cast<int64_t>(extent);
    else if (!known.type.is_float())
      buffer.value = static_cast<int64_t>(extents->second[0]);
    return buffer;
  }

  const LoweredFunc& function_;
  const Estimates& estimates_;
  Evaluator evaluator_;
};

std::string argument_text(const GridArgument& a) {
  const std::string value = a.value ? std::to_string(*a.value) : "?";
  if (a.buffer.empty()) return fmt::format("{}={}", a.bytes, value);
  return a.value ? fmt::format("{}:{}:{}", a.buffer, a.bytes, value) : fmt::format("{}:{}", a.buffer, a.bytes);
}

}  // namespace

std::vector<Grid> grids_of(const LoweredFunc& function, const Estimates& estimates) {
  GridFinder finder(function, estimates);
  function.body.accept(&finder);
  return finder.found;
}

std::string text_of(const std::vector<Grid>& grids) {
  std::string text;
  for (const Grid& g : grids) {
    text += fmt::format("{} {}", g.entry, fmt::join(g.blocks, " "));
    for (const GridArgument& a : g.arguments) text += " " + argument_text(a);
    text += "\n";
  }
  return text;
}

}  // namespace lathe::gen
