#include "batch.h"

#include <map>
#include <set>
#include <utility>

#include "stores.h"

using namespace Halide;

namespace lathe::gen {

namespace {

namespace ir = Halide::Internal;

class Batch : public ir::IRGraphMutator {
 public:
  explicit Batch(Kernel& kernel) : kernel_(kernel) {
    for (ImageParam& image : kernel.inputs()) widen(image);
    for (const Parameter& number : kernel.numbers_of_each()) add_number(number.type(), number.name());
    int chunks = 0;  // a dimension of them, where an item is all of a sequence
    for (const ImageParam& image : kernel.inputs())
      if (kernel.buffers_of_tokens().contains(image.name())) chunks = chunks_of(image);
    for (const std::string& name : kernel.buffers_of_tokens()) add_number(Int(32), name + std::string(kAt), chunks);
    for (const Func& f : kernel.outputs()) {
      if (kernel.places(f.name()) || kernel.is_state(f.name())) add_number(Int(32), f.name() + std::string(kAt));
      if (kernel.places(f.name())) add_number(Int(32), "all");
    }
    if (!kernel.buffers_of_tokens().empty() && !numbers_.contains(kRows)) add_number(Int(32), kRows, chunks);
  }

  void run() {
    std::vector<ir::Function> ends;
    for (const Func& output : kernel_.outputs()) ends.push_back(output.function());
    const auto all = ir::build_environment(ends);
    find_kept(all);
    for (const std::string& name : ir::topological_order(ends, all)) define(all.at(name));
    std::vector<Labelled> labelled;
    for (const Labelled& l : kernel_.labelled())
      if (const auto made = funcs_.find(l.func.name()); made != funcs_.end())
        labelled.push_back({kept_.contains(l.func.name()) ? Role::kept : l.role, Func(made->second)});
    for (const std::string& name : turned_) labelled.push_back({Role::turned, Func(funcs_.at(name))});
    for (const ImageParam& image : kernel_.inputs())
      if (const auto made = funcs_.find(Func(image).name()); made != funcs_.end())
        labelled.push_back({Role::loaded, Func(made->second)});
    for (const auto& [name, image] : numbers_)
      if (name.ends_with(kAt) && !kernel_.places(name.substr(0, name.size() - kAt.size())))
        labelled.push_back({Role::begin, image});
    std::vector<Func> outputs;
    outputs.reserve(ends.size());
    for (const ir::Function& end : ends) outputs.emplace_back(funcs_.at(end.name()));
    kernel_.become(inputs_, labelled, outputs);
  }

 private:
  using ir::IRGraphMutator::visit;

  void add_number(Type type, const std::string& name, int chunks = 0) {
    ImageParam image(type, chunks + kBatchDimensions, name);
    image.dim(0).set_stride(Expr());  // that of items, which may share one
    for (int d = 0; d < image.dimensions(); d++) image.dim(d).set_min(0);
    numbers_.emplace(name, image);
    inputs_.push_back(image);
  }
  Expr number(const std::string& name, std::vector<Expr> chunk = {}) const {
    chunk.insert(chunk.end(), {item_, head_});
    return numbers_.at(name)(chunk);
  }

  static int chunks_of(const ImageParam& image) { return std::max(image.dimensions() - kRowDimensions, 0); }

  // The same buffer, with what is known of its dimensions.
  void widen(ImageParam& image) {
    ImageParam wide(image.type(), image.dimensions() + kBatchDimensions, image.name());
    if (kernel_.turns(image.name()))  // a stride of columns is none of rows
      for (int d = 0; d < wide.dimensions(); d++) wide.dim(d).set_min(0);
    else
      copy(image.parameter(), wide.parameter());
    buffers_.emplace(image.name(), wide.parameter());
    inputs_.push_back(wide);
  }

  static void copy(const Parameter& before, Parameter after) {
    for (int d = 0; d < before.dimensions(); d++) {
      after.set_min_constraint(d, before.min_constraint(d));
      after.set_extent_constraint(d, before.extent_constraint(d));
      after.set_stride_constraint(d, before.stride_constraint(d));
    }
    for (int d = before.dimensions(); d < after.dimensions(); d++) after.set_min_constraint(d, 0);
  }

  // States that are read when they are made: whoever reads one makes and stores it.
  void find_kept(const std::map<std::string, ir::Function>& all) {
    std::set<std::string> states;
    for (const Labelled& l : kernel_.labelled())
      if (l.role == Role::recurrence) states.insert(l.func.name());
    for (const auto& [name, f] : all)
      for (const auto& [called, other] : ir::find_direct_calls(f))
        if (states.contains(called)) kept_.insert(called);
  }

  // Under its own name, which labels, arguments and extents go by.
  void define(const ir::Function& before) {
    ir::Function after(before.name());
    funcs_.emplace(before.name(), after);
    within_ = before.name();
    std::vector<std::string> names = before.args();
    for (const Var& v : {item_, head_}) names.push_back(v.name());
    std::vector<Expr> values;
    for (const Expr& value : before.values()) values.push_back(mutate(value));
    if (kernel_.places(before.name()))
      place(after, names, values);
    else if (kept_.contains(before.name()))
      after.define(names, {undef(values[0].type())});
    else
      after.define(names, values);
    if (kept_.contains(before.name())) made_.insert({before.name(), {names, values[0]}});
    copy(before.output_buffers()[0], after.output_buffers()[0]);  // those of a tuple have its extents
    for (const Parameter& buffer : after.output_buffers()) buffers_.insert_or_assign(buffer.name(), buffer);
    for (const ir::Definition& update : before.updates()) {
      std::vector<Expr> at, to;
      for (const Expr& e : update.args()) at.push_back(mutate(e));
      for (const Expr& e : update.values()) to.push_back(mutate(e));
      at.insert(at.end(), {item_, head_});
      after.define_update(at, to);
    }
  }

  // Of an item's rows, in numbers. Halide wants a bound for whatever finds an element.
  Expr begin_of(const std::string& tokens, const std::vector<Expr>& chunk = {}) const {
    return 4 * unsafe_promise_clamped(number(tokens + std::string(kAt), chunk), 0, kMostVectors - 1);
  }

  // Stored where lists say, in whole blocks of columns: those that there are, and zeros in rows that do not count.
  void place(ir::Function& f, const std::vector<std::string>& names, const std::vector<Expr>& values) {
    const bool rows = names.size() == kRowDimensions + kBatchDimensions;
    const int block = rows ? 16 : 4;
    std::vector<Expr> nothing;
    nothing.reserve(values.size());
    for (const Expr& value : values) nothing.push_back(undef(value.type()));
    f.define(names, nothing);
    const OutputImageParam out = Func(f).output_buffer();
    const Expr blocks = out.dim(0).extent() / block;
    RDom r = rows ? RDom(0, block, 0, blocks, 0, kernel_.chunk(), "r") : RDom(0, block, 0, blocks, "r");
    const Expr column = r.y * block + r.x, row = rows ? Expr(r.z) : 0;
    r.where(row < number("all"));
    std::map<std::string, Expr> here{{names[0], column}};
    std::vector<Expr> at{column + begin_of(f.name())}, stored;
    if (rows) here.emplace(names[1], row), at.push_back(row);
    at.insert(at.end(), {item_, head_});
    stored.reserve(values.size());
    for (const Expr& value : values) stored.push_back(select(row < number(kRows), ir::substitute(here, value), 0.f));
    f.define_update(at, stored);
  }

  Expr visit(const ir::Call* op) override {
    if (op->call_type != ir::Call::Halide && op->call_type != ir::Call::Image) return IRGraphMutator::visit(op);
    std::vector<Expr> args;
    for (const Expr& arg : op->args) args.push_back(mutate(arg));
    if (op->call_type == ir::Call::Image && kernel_.buffers_of_tokens().contains(op->name)) {
      if (kernel_.turns(op->name)) {
        std::swap(args[0], args[1]);
        turned_.insert(within_);
      }
      const bool alone = args.size() < kRowDimensions || kernel_.is_state(op->name);
      const std::vector<Expr> chunk(alone ? args.end() : args.begin() + kRowDimensions, args.end());
      args[0] += begin_of(op->name, chunk);
      if (!alone) args[1] = min(args[1], max(number(kRows, chunk) - 1, 0));
    }
    args.insert(args.end(), {item_, head_});
    if (op->call_type == ir::Call::Image) return ir::Call::make(buffers_.at(op->name), args);
    if (const auto made = made_.find(op->name); made != made_.end()) {
      std::map<std::string, Expr> here;
      for (size_t d = 0; d < args.size(); d++) here.emplace(made->second.first[d], args[d]);
      if (kernel_.is_state(op->name)) args[0] += begin_of(op->name);
      return stored(op->name, ir::substitute(here, made->second.second), args);
    }
    return ir::Call::make(funcs_.at(op->name), args, op->value_index);
  }

  Expr visit(const ir::Variable* op) override {
    if (op->reduction_domain.defined()) return ir::Variable::make(op->type, op->name, domain(op->reduction_domain));
    if (!op->param.defined()) return op;
    if (numbers_.contains(op->name)) return number(op->name);
    if (!op->param.is_buffer()) return op;
    return ir::Variable::make(op->type, op->name, buffers_.at(op->param.name()));
  }

  // Its bounds and conditions name buffers too.
  ir::ReductionDomain domain(const ir::ReductionDomain& before) {
    if (const auto made = domains_.find(before); made != domains_.end()) return made->second;
    std::vector<ir::ReductionVariable> variables;
    for (const ir::ReductionVariable& v : before.domain())
      variables.push_back({v.var, mutate(v.min), mutate(v.extent)});
    ir::ReductionDomain after(variables);
    domains_.emplace(before, after);
    Expr counts = mutate(before.predicate());
    for (const ir::ReductionVariable& v : before.domain())
      if (kernel_.sums_state(v.var))
        counts = counts && 0 < number(kRows);
      else if (const auto sum = kernel_.summed().find(v.var); sum != kernel_.summed().end())
        counts = counts && likely(ir::Variable::make(Int(32), v.var, after) < number(kRows, sum->second));
    after.set_predicate(counts);
    return after;
  }

  static constexpr const char* kRows = "rows";
  static constexpr std::string_view kAt = "_at";
  static constexpr int kMostVectors = 1 << 28, kRowDimensions = 2;  // (column, token)
  Kernel& kernel_;
  const Var item_{"item"}, head_{"head_of_item"};
  std::string within_;            // the Func that is being defined
  std::set<std::string> turned_;  // those that read rows as columns
  std::set<std::string> kept_;
  std::map<std::string, std::pair<std::vector<std::string>, Expr>> made_;  // of those, by their arguments
  std::vector<ImageParam> inputs_;
  std::map<std::string, Parameter> buffers_;
  std::map<std::string, ImageParam> numbers_;
  std::map<std::string, ir::Function> funcs_;
  std::map<ir::ReductionDomain, ir::ReductionDomain, ir::ReductionDomain::Compare> domains_;
};

}  // namespace

void batch(Kernel& kernel) { Batch(kernel).run(); }

}  // namespace lathe::gen
