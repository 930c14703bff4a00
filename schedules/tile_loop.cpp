#include "tile_loop.h"

#include "../generators/stretch.h"

using namespace Halide;

namespace lathe::gen {

namespace {

namespace ir = Halide::Internal;

class TileLoop : public ir::IRMutator {
 public:
  TileLoop(const Kernel& kernel, int columns) : kernel_(kernel), columns_(columns) {}

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
    const auto loop = [&](const Var& name, const Expr& extent) {
      body = ir::For::make(name.name(), 0, extent, ir::ForType::Serial, Partition::Never, DeviceAPI::None, body);
    };
    const std::string& asked = kernel_.asked();
    for (const auto& [buffer, along] : kernel_.buffers_along_tokens()) let(begin(buffer), tile_ * apart(buffer));
    if (!asked.empty()) let(begin(asked), (tile_ * sides_ + side_) * apart(asked));
    const std::string& values = kernel_.values();
    if (!values.empty()) loop(side_, sides_);
    const auto& [any, along] = *kernel_.buffers_along_tokens().begin();
    loop(tile_, number_of(any, ir::Call::buffer_get_extent, along) / kernel_.taken());
    for (const auto& [buffer, dimension] : kernel_.buffers_along_tokens())
      let(apart(buffer), kernel_.taken() * number_of(buffer, ir::Call::buffer_get_stride, dimension));
    if (!values.empty()) let(sides_, number_of(values, ir::Call::buffer_get_extent, 0) / columns_);
    if (asked.empty()) return body;
    let(apart(asked), number_of(asked, ir::Call::buffer_get_stride, 1));
    return ir::LetStmt::make(asked, ir::Call::make(Handle(), ir::Call::buffer_get_host, {raw(asked)}, ir::Call::Extern),
                             body);
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
    constexpr int at_once = 2, line = 64;
    static_assert(kLinesAsked == 2 * at_once);
    const Expr index = Expr(begin(kernel_.asked())) + row / kLinesAsked;
    const Expr piece = ir::Load::make(UInt(64), kernel_.asked(), index, {}, {}, ir::const_true(), {});
    std::vector<ir::Stmt> lines;
    for (int i = 0; i < at_once; i++) {
      const Expr address = piece + cast<uint64_t>((row & at_once) * line + i * line);
      lines.push_back(ir::Evaluate::make(
          ir::Call::make(Int(32), "llvm.prefetch.p0", {reinterpret(Handle(), address), 0, 3, 1}, ir::Call::Extern)));
    }
    return ir::IfThenElse::make(row % at_once == 0, ir::Block::make(lines));
  }

  ir::Stmt visit(const ir::For* op) override {
    writes_ = false;
    ir::Stmt body = mutate(op->body);
    if (std::exchange(writes_, false) && !kernel_.asked().empty())
      body = ir::Block::make(ask(ir::Variable::make(Int(32), op->name)), body);
    return ir::For::make(op->name, mutate(op->min), mutate(op->extent), op->for_type, op->partition_policy,
                         op->device_api, body);
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

  const Kernel& kernel_;
  const int columns_;
  const Var tile_{"tile"}, side_{"side"}, sides_{"sides"};
  bool inside_ = false, writes_ = false;
};

}  // namespace

void loop_over_tiles(Pipeline& pipeline, const Kernel& kernel, int columns) {
  if (!kernel.buffers_along_tokens().empty()) pipeline.add_custom_lowering_pass(new TileLoop(kernel, columns));
}

}  // namespace lathe::gen
