#include "stores.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

using namespace Halide;

namespace lathe::gen {

namespace {

namespace ir = Halide::Internal;

constexpr const char* kMark = "stored in ";
constexpr int kVector = 4;  // numbers that lie together wherever rows of a state begin

class Stores : public ir::IRMutator {
 public:
  explicit Stores(const Kernel& kernel) {
    for (const Func& f : kernel.outputs())
      for (const OutputImageParam& buffer : f.output_buffers()) outputs_.emplace(buffer.name(), buffer.parameter());
  }

  using IRMutator::mutate;
  ir::Stmt mutate(const ir::Stmt& s) override {
    if (std::exchange(inside_, true)) return IRMutator::mutate(s);
    // what buffers are is known outside of a device's code
    ir::Stmt body = mutate(s);
    for (const auto& [name, expr] : strides_) body = ir::LetStmt::make(name, expr, body);
    return body;
  }

 private:
  using IRMutator::visit;

  // A value that is stored on its way: let it have a name.
  struct Stored {
    std::string name;
    Expr value;
    ir::Stmt store;
  };
  template <typename Made>
  ir::Stmt after_stores(Made made) {
    std::vector<Stored> outer;
    std::swap(outer, found_);
    ir::Stmt body = made();
    std::swap(outer, found_);
    for (auto one = outer.rbegin(); one != outer.rend(); ++one)
      body = ir::LetStmt::make(one->name, one->value, ir::Block::make(one->store, body));
    return body;
  }

  ir::Stmt visit(const ir::Store* op) override {
    // names that a value gives its parts are for what is stored of it too
    if (const auto* let = op->value.as<ir::Let>())
      return mutate(
          ir::LetStmt::make(let->name, let->value,
                            ir::Store::make(op->name, let->body, op->index, op->param, op->predicate, op->alignment)));
    return after_stores([&] { return IRMutator::visit(op); });
  }
  ir::Stmt visit(const ir::LetStmt* op) override {
    const ir::Stmt body = mutate(op->body);
    return after_stores([&] { return ir::LetStmt::make(op->name, mutate(op->value), body); });
  }

  Expr visit(const ir::Call* op) override {
    if (op->name == Kernel::kAlong) {
      mutate(op->args[0]);
      return mutate(op->args[1]);
    }
    if (!op->name.starts_with(kMark)) return IRMutator::visit(op);
    const Parameter& buffer = outputs_.at(op->name.substr(std::string(kMark).size()));
    const Expr value = mutate(op->args[0]);
    Expr index = op->args[1];
    for (size_t d = 1; d + 1 < op->args.size(); d++) index += op->args[d + 1] * stride(buffer, static_cast<int>(d));
    const std::string name = ir::unique_name("kept");
    Expr known = ir::Variable::make(value.type(), name);
    found_.push_back({name, value,
                      ir::Store::make(buffer.name(), known, ir::simplify(index), buffer,
                                      ir::const_true(value.type().lanes()), ir::ModulusRemainder(kVector, 0))});
    return known;
  }
  Expr stride(const Parameter& buffer, int d) {
    const std::string name = buffer.name() + ".apart." + std::to_string(d);
    const Expr raw = ir::Variable::make(type_of<halide_buffer_t*>(), buffer.name() + ".buffer");
    strides_.emplace(name, ir::Call::make(Int(32), ir::Call::buffer_get_stride, {raw, d}, ir::Call::Extern));
    return ir::Variable::make(Int(32), name);
  }

  std::map<std::string, Parameter> outputs_;
  std::map<std::string, Expr> strides_;
  std::vector<Stored> found_;
  bool inside_ = false;
};

bool has(const Kernel& kernel, const std::set<Role>& roles) {
  return std::any_of(kernel.labelled().begin(), kernel.labelled().end(),
                     [&](const Labelled& l) { return roles.contains(l.role); });
}

}  // namespace

Expr stored(const std::string& output, const Expr& value, const std::vector<Expr>& at) {
  std::vector<Expr> arguments{value};
  arguments.insert(arguments.end(), at.begin(), at.end());
  return ir::Call::make(value.type(), kMark + output, arguments, ir::Call::PureExtern);
}

void store_values(Pipeline& pipeline, const Kernel& kernel) {
  if (has(kernel, {Role::kept})) pipeline.add_custom_lowering_pass(new Stores(kernel));
}

void read_what_is_stored(const Module& module, const Kernel& kernel) {
  if (!module.target().has_feature(Target::CUDA) || !has(kernel, {Role::kept, Role::recurrence})) return;
  Buffer<uint8_t> code(module.get_device_code_buffer());
  constexpr std::string_view read_only = "ld.global.nc";
  uint8_t* const end = code.data() + code.width();
  for (uint8_t* at = code.data(); (at = std::search(at, end, read_only.begin(), read_only.end())) != end;) {
    uint8_t* const rest = at + read_only.size();
    at = rest - std::string_view(".nc").size();
    // blanks behind the instruction's name keep the text as long
    uint8_t* const blank = std::find_if(rest, end, [](uint8_t c) { return c == ' ' || c == '\t'; });
    std::fill(std::copy(rest, blank, at), blank, ' ');
  }
}

}  // namespace lathe::gen
