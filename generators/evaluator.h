// Whole numbers of a lowered kernel, for arguments of given sizes: what its loops, conditions and grids are made of.
#pragma once

#include <Halide.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "estimates.h"

namespace lathe::gen {

class Evaluator : public Halide::Internal::IRVisitor {
 public:
  using Value = std::optional<int64_t>;
  explicit Evaluator(const Estimates& estimates) : estimates_(estimates) {}
  std::map<std::string, Value> names;

  // Nothing where it hangs on what no estimate tells. Buffers begin at 0 and are dense, but for dimensions of extent 1,
  // which all share: their stride is 0. So it is where one number is told of a buffer.
  Value of(const Halide::Expr& e);

 private:
  using IRVisitor::visit;

  template <typename Node, typename Work>
  void both(const Node* op, Work work);
  void visit(const Halide::Internal::IntImm* op) override;
  void visit(const Halide::Internal::UIntImm* op) override;
  void visit(const Halide::Internal::FloatImm* op) override;
  void visit(const Halide::Internal::StringImm* op) override;
  void visit(const Halide::Internal::Variable* op) override;
  void visit(const Halide::Internal::Cast* op) override;
  void visit(const Halide::Internal::Broadcast* op) override;
  void visit(const Halide::Internal::Ramp* op) override;
  void visit(const Halide::Internal::Load* op) override;
  void visit(const Halide::Internal::Add* op) override;
  void visit(const Halide::Internal::Sub* op) override;
  void visit(const Halide::Internal::Mul* op) override;
  void visit(const Halide::Internal::Div* op) override;
  void visit(const Halide::Internal::Mod* op) override;
  void visit(const Halide::Internal::Min* op) override;
  void visit(const Halide::Internal::Max* op) override;
  void visit(const Halide::Internal::EQ* op) override;
  void visit(const Halide::Internal::NE* op) override;
  void visit(const Halide::Internal::LT* op) override;
  void visit(const Halide::Internal::LE* op) override;
  void visit(const Halide::Internal::GT* op) override;
  void visit(const Halide::Internal::GE* op) override;
  void visit(const Halide::Internal::And* op) override;
  void visit(const Halide::Internal::Or* op) override;
  void visit(const Halide::Internal::Not* op) override;
  void visit(const Halide::Internal::Select* op) override;
  void visit(const Halide::Internal::Let* op) override;
  void visit(const Halide::Internal::Call* op) override;
  Value field(const Halide::Internal::Call* op);

  const Estimates& estimates_;
  Value value_;
};

}  // namespace lathe::gen
