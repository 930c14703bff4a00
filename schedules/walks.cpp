#include "walks.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

using namespace Halide;

namespace lathe::gen {

namespace {

namespace ir = Halide::Internal;

using Names = std::set<std::string>;
using Lets = std::map<std::string, Expr>;

bool is_barrier(const ir::Call* call) { return call && call->is_intrinsic(ir::Call::gpu_thread_barrier); }

struct Found : ir::IRVisitor {
  explicit Found(const ir::Stmt& s) { s.accept(this); }
  bool reads(const Names& names) const {
    return std::any_of(loads.begin(), loads.end(), [&](const ir::Load* l) { return names.contains(l->name); });
  }

  using IRVisitor::visit;
  void visit(const ir::Load* op) override { loads.push_back(op), IRVisitor::visit(op); }
  void visit(const ir::Store* op) override {
    stores.push_back(op), written.insert(op->name);
    IRVisitor::visit(op);
  }
  void visit(const ir::LetStmt* op) override { lets[op->name] = op->value, IRVisitor::visit(op); }
  void visit(const ir::Call* op) override { waits |= is_barrier(op), IRVisitor::visit(op); }

  std::vector<const ir::Load*> loads;
  std::vector<const ir::Store*> stores;
  Names written;
  Lets lets;
  bool waits = false;
};

// Without names for its parts.
Expr spelled_out(Expr e, const Lets& lets) {
  for (Expr before; !e.same_as(before);) e = ir::substitute(lets, before = e);
  return e;
}

// A sum of products, by their factors. What Halide simplifies keeps products of sums, whose difference it then
// doesn't see to be nothing.
using Terms = std::map<std::multiset<std::string>, int64_t>;
void add_terms(const Expr& e, const Terms& times, Terms& to) {
  if (const auto* add = e.as<ir::Add>()) {
    add_terms(add->a, times, to);
    return add_terms(add->b, times, to);
  }
  if (const auto* product = e.as<ir::Mul>()) {
    Terms by;
    add_terms(product->b, times, by);
    return add_terms(product->a, by, to);
  }
  const auto number = ir::as_const_int(e);
  std::ostringstream name;
  name << e;
  for (const auto& [factors, count] : times) {
    auto all = factors;
    if (!number) all.insert(name.str());
    to[all] += count * number.value_or(1);
  }
}
bool equal(const Expr& a, const Expr& b) {
  Terms difference;
  add_terms(a, {{{}, 1}}, difference);
  add_terms(b, {{{}, -1}}, difference);
  return std::all_of(difference.begin(), difference.end(), [](const auto& term) { return term.second == 0; });
}

// Of one thread.
class Registers {
 public:
  std::string add(const Type& type) {
    made_.emplace_back(ir::unique_name("in_registers"), type);
    return made_.back().first;
  }
  static Expr read(const std::string& name, const Type& type) {
    return ir::Load::make(type, name, all(type), {}, {}, ir::const_true(type.lanes()), {});
  }
  static ir::Stmt write(const std::string& name, const Expr& value) {
    const Type type = value.type();
    return ir::Store::make(name, value, all(type), {}, ir::const_true(type.lanes()), {});
  }
  ir::Stmt around(ir::Stmt s) const {
    for (const auto& [name, type] : made_)
      s = ir::Allocate::make(name, type.element_of(), MemoryType::Register, {type.lanes()}, ir::const_true(),
                             ir::Block::make(s, ir::Free::make(name)));
    return s;
  }

 private:
  static Expr all(const Type& type) { return type.is_scalar() ? Expr(0) : ir::Ramp::make(0, 1, type.lanes()); }

  std::vector<std::pair<std::string, Type>> made_;
};

// Loads of outputs that find what the round before has stored: only the first round's are left.
class Carried : public ir::IRMutator {
 public:
  Carried(const ir::For* loop, const Lets& lets, const Names& outputs, Registers& registers) : loop_(loop) {
    const auto first_of = [&](const Expr& index, int round) {
      const auto* ramp = index.as<ir::Ramp>();
      return ir::substitute(loop->name, round, spelled_out(ramp ? ramp->base : index, lets));
    };
    const Found found(loop->body);
    for (const ir::Load* load : found.loads)
      for (const ir::Store* store : found.stores)
        if (outputs.contains(load->name) && load->name == store->name && load->type == store->value.type() &&
            equal(first_of(load->index, 1), first_of(store->index, 0)))
          loads_[load] = stores_[store] = registers.add(load->type);
  }

 private:
  using IRMutator::visit;

  Expr visit(const ir::Load* op) override {
    const auto carried = loads_.find(op);
    if (carried == loads_.end()) return IRMutator::visit(op);
    const Expr is_first = ir::Variable::make(Int(32), loop_->name) == loop_->min;
    before_.push_back(ir::IfThenElse::make(is_first, Registers::write(carried->second, Expr(op))));
    return Registers::read(carried->second, op->type);
  }
  ir::Stmt visit(const ir::Store* op) override {
    const auto carried = stores_.find(op);
    return after_loads([&] {
      ir::Stmt store = IRMutator::visit(op);
      if (carried == stores_.end()) return store;
      return ir::Block::make(store, Registers::write(carried->second, store.as<ir::Store>()->value));
    });
  }
  ir::Stmt visit(const ir::LetStmt* op) override {
    const ir::Stmt body = mutate(op->body);
    return after_loads([&] { return ir::LetStmt::make(op->name, mutate(op->value), body); });
  }
  template <typename Made>
  ir::Stmt after_loads(Made made) {
    std::vector<ir::Stmt> outer = std::exchange(before_, {});
    ir::Stmt s = made();
    before_.swap(outer);
    for (const ir::Stmt& load : outer) s = ir::Block::make(load, s);
    return s;
  }

  const ir::For* loop_;
  std::map<const ir::Load*, std::string> loads_;
  std::map<const ir::Store*, std::string> stores_;
  std::vector<ir::Stmt> before_;
};

// Loads of what every thread copies to shared memory, from registers instead. Nothing in the loop writes it.
class Asked : public ir::IRMutator {
 public:
  Asked(const Names& shared, Names written, Registers& registers)
      : shared_(shared), written_(std::move(written)), registers_(registers) {}

  // Of some round.
  ir::Stmt loads(const std::string& loop, const Expr& round, const Lets& lets) const {
    ir::Stmt all = ir::Evaluate::make(0);
    for (const auto& [name, value] : asked_)
      all = ir::Block::make(all, Registers::write(name, ir::substitute(loop, round, spelled_out(value, lets))));
    return all;
  }

 private:
  using IRMutator::visit;

  // Only some threads, or some times.
  ir::Stmt visit(const ir::IfThenElse* op) override { return op; }
  ir::Stmt visit(const ir::For* op) override { return op; }
  ir::Stmt visit(const ir::Store* op) override {
    if (!shared_.contains(op->name)) return op;
    return ir::Store::make(op->name, mutate(op->value), op->index, op->param, op->predicate, op->alignment);
  }
  Expr visit(const ir::Load* op) override {
    if (written_.contains(op->name)) return op;
    asked_.emplace_back(registers_.add(op->type), Expr(op));
    return Registers::read(asked_.back().first, op->type);
  }

  const Names& shared_;
  const Names written_;
  Registers& registers_;
  std::vector<std::pair<std::string, Expr>> asked_;
};

void add_parts(const ir::Stmt& s, std::vector<ir::Stmt>& parts) {
  const auto* block = s.as<ir::Block>();
  if (!block) return parts.push_back(s);
  add_parts(block->first, parts);
  add_parts(block->rest, parts);
}

class Walks : public ir::IRMutator {
 public:
  explicit Walks(const Kernel& kernel) {
    for (const Func& f : kernel.outputs())
      for (const OutputImageParam& buffer : f.output_buffers()) outputs_.insert(buffer.name());
  }

 private:
  using IRMutator::visit;

  ir::Stmt visit(const ir::LetStmt* op) override {
    lets_[op->name] = op->value;
    return IRMutator::visit(op);
  }
  ir::Stmt visit(const ir::Allocate* op) override {
    if (op->memory_type == MemoryType::GPUShared) shared_.insert(op->name);
    return IRMutator::visit(op);
  }
  ir::Stmt visit(const ir::For* op) override {
    const Found found(op->body);
    if (op->for_type != ir::ForType::Serial || shared_.empty() || !found.waits) return IRMutator::visit(op);
    Lets lets = lets_;
    lets.insert(found.lets.begin(), found.lets.end());
    Registers registers;
    const ir::Stmt body = Carried(op, lets, outputs_, registers).mutate(op->body);
    Asked asked(shared_, found.written, registers);
    const ir::Stmt ahead = asks_ahead(op, body, found.lets, asked);
    const auto loop = [&](const ir::Stmt& made) {
      return ir::For::make(op->name, op->min, op->extent, op->for_type, op->partition_policy, op->device_api, made);
    };
    if (!ahead.defined()) return registers.around(loop(body));
    const ir::Stmt first = asked.loads(op->name, op->min, found.lets);
    return registers.around(ir::Block::make(ir::IfThenElse::make(op->extent > 0, first), loop(ahead)));
  }

  // A round that copies to shared memory before it works, with the loads of the next in between; else nothing.
  ir::Stmt asks_ahead(const ir::For* op, const ir::Stmt& body, const Lets& lets, Asked& asked) const {
    std::vector<ir::Stmt> parts;
    add_parts(body, parts);
    const auto waits = [&](size_t p) {
      const auto* value = parts[p].as<ir::Evaluate>();
      return value && is_barrier(value->value.as<ir::Call>());
    };
    const auto reads = [&](size_t p) { return Found(parts[p]).reads(shared_); };
    const size_t none = parts.size();
    size_t first = none, last = none, after = none;
    for (size_t p = 0; p < none; p++) {
      const ir::Stmt copied = asked.mutate(parts[p]);
      if (copied.same_as(parts[p])) {
        if (after == none && last < p && waits(p)) after = p;
        continue;
      }
      parts[p] = copied;
      first = std::min(first, p), last = p, after = none;
    }
    if (after == none) return {};
    std::vector<ir::Stmt> made;
    for (size_t p = 0; p < none; p++) {
      // one copy need not wait for another
      if (first < p && p < last && waits(p) && !reads(p - 1) && !reads(p + 1)) continue;
      made.push_back(parts[p]);
      if (p != after) continue;
      const Expr next = min(ir::Variable::make(Int(32), op->name) + 1, op->min + op->extent - 1);
      made.push_back(asked.loads(op->name, next, lets));
    }
    return ir::Block::make(made);
  }

  Names outputs_, shared_;
  Lets lets_;
};

}  // namespace

void keep_in_registers(Pipeline& pipeline, const Kernel& kernel) {
  if (std::any_of(kernel.labelled().begin(), kernel.labelled().end(),
                  [](const Labelled& l) { return l.role == Role::staged; }))
    pipeline.add_custom_lowering_pass(new Walks(kernel));
}

}  // namespace lathe::gen
