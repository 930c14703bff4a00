#include "tile_loop.h"

#include "../generators/stretch.h"

using namespace Halide;

namespace lathe::gen {

namespace {

namespace ir = Halide::Internal;

class TileLoop : public ir::IRMutator {
 public:
  TileLoop(const Kernel& kernel, int columns, int rows) : kernel_(kernel), columns_(columns), rows_(rows) {}

  using IRMutator::mutate;
  ir::Stmt mutate(const ir::Stmt& s) override { return inside_ ? IRMutator::mutate(s) : around(s); }

 private:
  using IRMutator::visit;

  // Outside stay names for what buffers are, and checks of them.
  ir::Stmt around(const ir::Stmt& s) {
    if (const auto* let = s.as<ir::LetStmt>()) return ir::LetStmt::make(let->name, let->value, around(let->body));
    if (const auto* block = s.as<ir::Block>(); block && block->first.as<ir::AssertStmt>())
      return ir::Block::make(block->first, around(block->rest));
    inside_ = true;
    return loops(mutate(s));
  }

  // What hangs on no tile is read before: the compiler cannot know that no store changes it.
  ir::Stmt loops(ir::Stmt body) const {
    const auto let = [&](const Var& name, const Expr& value) { body = ir::LetStmt::make(name.name(), value, body); };
    const std::string& asked = kernel_.asked();
    for (const auto& [buffer, along] : kernel_.buffers_along_tokens()) let(begin(buffer), tile_ * apart(buffer));
    if (!asked.empty()) let(begin(asked), (tile_ * sides_ + side_) * apart(asked));
    const std::string& values = kernel_.values();
    if (!values.empty()) body = loop(side_, 0, sides_, body);
    const auto& [any, along] = *kernel_.buffers_along_tokens().begin();
    body = loop(tile_, 0, number_of(any, ir::Call::buffer_get_extent, along) / kernel_.taken(), body);
    for (const auto& [buffer, dimension] : kernel_.buffers_along_tokens())
      let(apart(buffer), kernel_.taken() * number_of(buffer, ir::Call::buffer_get_stride, dimension));
    if (!values.empty()) let(sides_, number_of(values, ir::Call::buffer_get_extent, 0) / columns_);
    if (asked.empty()) return body;
    let(apart(asked), number_of(asked, ir::Call::buffer_get_stride, 1));
    return ir::LetStmt::make(asked, ir::Call::make(Handle(), ir::Call::buffer_get_host, {raw(asked)}, ir::Call::Extern),
                             body);
  }

  static ir::Stmt loop(const Var& name, const Expr& begin, const Expr& extent, const ir::Stmt& body) {
    return ir::For::make(name.name(), begin, extent, ir::ForType::Serial, Partition::Never, DeviceAPI::None, body);
  }
  static Var begin(const std::string& buffer) { return Var(buffer + ".begin"); }
  static Var apart(const std::string& buffer) { return Var(buffer + ".apart"); }
  static Expr raw(const std::string& buffer) {
    return ir::Variable::make(type_of<halide_buffer_t*>(), buffer + ".buffer");
  }
  static Expr number_of(const std::string& buffer, const char* what, int dimension) {
    return ir::Call::make(Int(32), what, {raw(buffer), dimension}, ir::Call::Extern);
  }

  Expr moved(const std::string& buffer, const Expr& index) const {
    Expr by = 0;
    if (kernel_.buffers_along_tokens().contains(buffer)) by += begin(buffer);
    if (kernel_.has_columns(buffer)) by += side_ * columns_;
    if (const auto* ramp = index.as<ir::Ramp>()) return ir::Ramp::make(ramp->base + by, ramp->stride, ramp->lanes);
    return index.type().is_vector() ? index + ir::Broadcast::make(by, index.type().lanes()) : index + by;
  }

  // By LLVM's own function, for reading, into all caches: Halide's leaves out the second level.
  ir::Stmt ask(const Expr& row) const {
    constexpr int line = 64;
    static_assert(kLinesAsked == 2 * kAtOnce);
    const Expr index = Expr(begin(kernel_.asked())) + row / kLinesAsked;
    const Expr piece = ir::Load::make(UInt(64), kernel_.asked(), index, {}, {}, ir::const_true(), {});
    std::vector<ir::Stmt> lines;
    for (int i = 0; i < kAtOnce; i++) {
      const Expr address = piece + cast<uint64_t>((row & kAtOnce) * line + i * line);
      lines.push_back(ir::Evaluate::make(
          ir::Call::make(Int(32), "llvm.prefetch.p0", {reinterpret(Handle(), address), 0, 3, 1}, ir::Call::Extern)));
    }
    return ir::Block::make(lines);
  }

  // Rows of the state, each of which is `body`: so many in a step, and then what is left of them.
  ir::Stmt rows(const std::string& name, const Expr& extent, const ir::Stmt& body) const {
    const Var row(name);
    std::vector<ir::Stmt> step;
    for (int i = 0; i < rows_; i++) {
      if (i % kAtOnce == 0) step.push_back(ask(row * rows_ + i));
      step.push_back(ir::substitute(name, row * rows_ + i, body));
    }
    const ir::Stmt single = ir::Block::make(ir::IfThenElse::make(row % kAtOnce == 0, ask(row)), body);
    if (rows_ == 1) return loop(row, 0, extent, single);
    return ir::Block::make(loop(row, 0, extent / rows_, ir::Block::make(step)),
                           loop(row, extent / rows_ * rows_, extent % rows_, single));
  }

  ir::Stmt visit(const ir::For* op) override {
    writes_ = false;
    const ir::Stmt body = mutate(op->body);
    const Expr min = mutate(op->min), extent = mutate(op->extent);
    if (std::exchange(writes_, false) && !kernel_.asked().empty()) return rows(op->name, extent, body);
    return ir::For::make(op->name, min, extent, op->for_type, op->partition_policy, op->device_api, body);
  }

  Expr visit(const ir::Load* op) override {
    const auto left = kernel_.in_place().find(op->name);
    const std::string& name = left == kernel_.in_place().end() ? op->name : left->second;
    return ir::Load::make(op->type, name, moved(name, mutate(op->index)), op->image,
                          name == op->name ? op->param : Parameter(), mutate(op->predicate), {});
  }

  ir::Stmt visit(const ir::Store* op) override {
    for (const auto& [entering, leaving] : kernel_.in_place()) writes_ |= op->name == leaving;
    return ir::Store::make(op->name, mutate(op->value), moved(op->name, mutate(op->index)), op->param,
                           mutate(op->predicate), {});
  }

  // One buffer has one stride, and one register for it.
  Expr visit(const ir::Variable* op) override {
    for (const auto& [entering, leaving] : kernel_.in_place())
      if (op->name == entering + ".stride.1") return ir::Variable::make(op->type, leaving + ".stride.1");
    return op;
  }

  static constexpr int kAtOnce = 2;  // lines asked for, every so many rows

  const Kernel& kernel_;
  const int columns_, rows_;
  const Var tile_{"tile"}, side_{"side"}, sides_{"sides"};
  bool inside_ = false, writes_ = false;
};

}  // namespace

void loop_over_tiles(Pipeline& pipeline, const Kernel& kernel, int columns, const Numbers& numbers) {
  if (kernel.buffers_along_tokens().empty()) return;
  const auto rows = numbers.find("rows");
  pipeline.add_custom_lowering_pass(new TileLoop(kernel, columns, rows == numbers.end() ? 1 : rows->second));
}

}  // namespace lathe::gen
