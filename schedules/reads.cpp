#include "reads.h"

namespace lathe::gen {

using namespace Halide;

std::vector<Expr> call_of(const Func& f, const Expr& value) {
  struct Finder : Internal::IRVisitor {
    using IRVisitor::visit;
    explicit Finder(std::string called) : name(std::move(called)) {}
    void visit(const Internal::Call* call) override {
      if (call->name == name) arguments = call->args;
      IRVisitor::visit(call);
    }
    const std::string name;
    std::vector<Expr> arguments;
  } finder(f.name());
  value.accept(&finder);
  return finder.arguments;
}

bool uses(const Expr& value, const RVar& variable) {
  struct Finder : Internal::IRVisitor {
    using IRVisitor::visit;
    explicit Finder(std::string used) : name(std::move(used)) {}
    void visit(const Internal::Variable* read) override { found |= read->name == name; }
    const std::string name;
    bool found = false;
  } finder(variable.name());
  value.accept(&finder);
  return finder.found;
}

}  // namespace lathe::gen
