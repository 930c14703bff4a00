// A kernel under construction: what an algorithm sees of the world. It names its buffers and numbers in the order of
// the calling convention, builds Funcs, and labels each with its role. No schedule verb belongs in generators/.
#pragma once

#include <Halide.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "instance.h"
#include "roles.h"

namespace lathe::gen {

struct Labelled {
  Role role;
  Halide::Func func;
};

class Kernel {
 public:
  Kernel(Instance instance, int chunk, int grain) : instance_(std::move(instance)), chunk_(chunk), grain_(grain) {}

  const std::string& axis() const { return instance_.axis; }
  const Instance& instance() const { return instance_; }
  int chunk() const { return chunk_; }  // tokens of a chunk
  // The one leak of a schedule: rows that walk the causal triangle, or take up a state, together.
  int grain() const { return grain_; }

  // A dense buffer whose innermost extent and row stride are multiples of a vector, starting at index 0.
  Halide::ImageParam buffer(const std::string& name, int dims = 2, Halide::Type type = Halide::Float(32)) {
    Halide::ImageParam image(type, dims, name);
    for (int d = 0; d < dims; d++) image.dim(d).set_min(0);
    inputs_.push_back(image);
    arguments_.emplace_back(name, Halide::Argument::InputBuffer, type, dims, Halide::ArgumentEstimates{});
    return image;
  }

  // A row for each token, of which some chunks have fewer than the tile has rows. On a device those of each chunk lie
  // where a list says, the caller's tensor among others: see batch.h.
  Halide::ImageParam tokens(const std::string& name, Halide::Type type = Halide::Float(32)) {
    auto image = buffer(name, 2, type);
    tokens_.insert(name);
    return image;
  }
  // ... of all chunks of a sequence: (column, token, chunk).
  Halide::ImageParam tokens_of_chunks(const std::string& name) {
    auto image = buffer(name, 3);
    tokens_.insert(name);
    return image;
  }
  // ... and those of outputs, which end where the caller's tensor wants them; rows past those that count are zero.
  void output_of_tokens(Role role, const Halide::Func& func) {
    output(role, func);
    placed_ = func.name();
  }
  // The row of one token, and a state, of which a device is told likewise where each item has them. An item may be
  // without a token, and neither reads nor moves a state then; of outputs it has zeros, where it has a row of those.
  Halide::ImageParam token(const std::string& name) {
    auto image = buffer(name, 1);
    tokens_.insert(name);
    return image;
  }
  Halide::ImageParam state(const std::string& name) {
    auto image = buffer(name);
    tokens_.insert(name);
    states_.insert(name);
    return image;
  }
  void output_of_state(Role role, const Halide::Func& func) {
    output(role, func);
    states_.insert(func.name());
  }
  Halide::RDom sum_of_state(const Halide::Expr& rows, const std::string& name = "r") {
    Halide::RDom row(0, rows, name);
    sums_of_states_.insert(row.x.name());
    return row;
  }
  // A value for which its reader also makes one of an output that nobody reads: schedules/stores.h.
  static constexpr const char* kAlong = "along with";
  static Halide::Expr along_with(const Halide::Expr& output, const Halide::Expr& value) {
    return Halide::Internal::Call::make(value.type(), kAlong, {output, value}, Halide::Internal::Call::PureExtern);
  }
  // Those that a sum takes in, of the chunk that is named where there are several.
  Halide::RDom sum_of_tokens(const Halide::ImageParam& image, const std::vector<Halide::Expr>& chunk = {}) {
    Halide::RDom token(0, extent(image, 1), "token");
    summed_.emplace(token.x.name(), chunk);
    return token;
  }

  // Keys or tokens of a tile; always a multiple of eight, which lets sums over them be unrolled without a remainder.
  static Halide::Expr extent(const Halide::ImageParam& image, int dim) { return image.dim(dim).extent() / 8 * 8; }

  // A step of a loop over the rows of `of`, of which Halide is not to know that they could change places: it makes one
  // loop of two only where neither's steps can, and those of a sum cannot.
  static Halide::Expr in_order(const Halide::Expr& step, const Halide::ImageParam& of) {
    return Halide::select(step < of.dim(1).extent(), step, 0);
  }

  // Tokens of a tile. A call takes as many tiles as its inputs have tokens and columns for; outputs have the extents of
  // one: see tile_loop.h.
  void take(int tokens) { taken_ = tokens; }
  int taken() const { return taken_; }
  // A buffer that has something for each token of a tile, in its last dimension; one with a state's columns as well.
  Halide::ImageParam along_tokens(const std::string& name, int dims = 2) {
    along_tokens_.emplace(name, dims - 1);
    return buffer(name, dims);
  }
  Halide::ImageParam values_along_tokens(const std::string& name) {
    values_ = name;
    columns_.insert(name);
    return along_tokens(name);
  }
  void output_along_tokens(Role role, const Halide::Func& func) {
    output(role, func);
    along_tokens_.emplace(func.name(), func.dimensions() - 1);
    if (func.dimensions() > 1) columns_.insert(func.name());
  }
  // A state that lies where that lay of which it is made.
  void output_in_place(Role role, const Halide::Func& func, const Halide::ImageParam& entering) {
    output(role, func);
    in_place_.emplace(entering.name(), func.name());
    if (!values_.empty()) columns_.insert(func.name());
  }
  // Memory that later calls will want: name(n, tile), where n addresses stand for kLinesAsked lines each, of which a
  // row of the state asks for one line on average. Those of a tile that follow are asked for too, where rows are left.
  void ask(const std::string& name) {
    buffer(name, 2, Halide::UInt(64));
    asked_ = name;
  }
  // By name, the dimension of tokens.
  const std::map<std::string, int>& buffers_along_tokens() const { return along_tokens_; }
  const std::string& values() const { return values_; }
  bool has_columns(const std::string& buffer) const { return columns_.contains(buffer); }
  const std::map<std::string, std::string>& in_place() const { return in_place_; }  // what leaves, by what enters
  const std::string& asked() const { return asked_; }

  // A tile with one column per token of the chunk: (token, row), rows one chunk apart.
  Halide::ImageParam columns(const std::string& name) {
    auto image = buffer(name);
    image.dim(1).set_stride(chunk_);
    return image;
  }

  // ... of tokens that lie in rows. A device takes them as such, where a list says.
  Halide::ImageParam columns_of_tokens(const std::string& name) {
    auto image = columns(name);
    tokens_.insert(name);
    turned_.insert(name);
    return image;
  }

  template <typename T>
  Halide::Param<T> number(const std::string& name) {
    Halide::Param<T> param(name);
    numbers_.push_back(param.parameter());
    arguments_.emplace_back(name, Halide::Argument::InputScalar, param.type(), 0, Halide::ArgumentEstimates{});
    return param;
  }

  // A number that each call has another of, even among calls that are one on a device: see batch.h.
  template <typename T>
  Halide::Param<T> each(const std::string& name) {
    auto param = number<T>(name);
    each_.push_back(param.parameter());
    return param;
  }

  // rows(a, b), as a Func of its own, so that a target may read the numbers of several steps of a sum at once; or
  // rows(a, b, of) with a Var of who calls it. It holds bits: Halide uses freed blocks of the stack again for the same
  // type, and one that is elsewhere indexed at run time cannot become registers.
  template <typename Rows, typename... Of>
  Halide::Expr multiplier(Rows rows, const Halide::Expr& a, const Halide::Expr& b, const Of&... of) {
    Halide::Func func("multiplier");
    Halide::Var u("u"), w("w");
    func(u, w, of...) = Halide::reinterpret<uint32_t>(rows(u, w, of...));
    label(Role::multiplier, func);
    return Halide::reinterpret<float>(func(a, b, of...));
  }

  void label(Role role, const Halide::Func& func) { labelled_.push_back({role, func}); }
  void output(Role role, const Halide::Func& func) {
    label(role, func);
    outputs_.push_back(func);
    // of the first: those of a tuple have its extents
    auto buffer = outputs_.back().output_buffers()[0];
    for (int d = 0; d < buffer.dimensions(); d++) buffer.dim(d).set_min(0);
  }

  // Rows, each number of which is value(column, row) and nothing else.
  template <typename Value>
  void rows(const std::string& name, Value value) {
    Halide::Var c("c"), i("i");
    Halide::Func func(name);
    func(c, i) = value(Halide::Expr(c), Halide::Expr(i));
    output(Role::copy, func);
  }
  // A number for each token.
  template <typename Value>
  void numbers(const std::string& name, Value value) {
    Halide::Var i("i");
    Halide::Func func(name);
    func(i) = value(Halide::Expr(i));
    output(Role::per_token, func);
  }

  // Other buffers and Funcs in place of these, by their names; what was a number may now be a buffer, and buffers that
  // are new come last.
  void become(const std::vector<Halide::ImageParam>& inputs, const std::vector<Labelled>& labelled,
              const std::vector<Halide::Func>& outputs) {
    inputs_ = inputs;
    for (const Halide::ImageParam& image : inputs) {
      const auto known = std::find_if(arguments_.begin(), arguments_.end(),
                                      [&](const Halide::Argument& a) { return a.name == image.name(); });
      const Halide::Argument made{image.name(), Halide::Argument::InputBuffer, image.type(), image.dimensions(),
                                  Halide::ArgumentEstimates{}};
      if (known == arguments_.end())
        arguments_.push_back(made);
      else
        *known = made;
    }
    labelled_ = labelled;
    outputs_ = outputs;
  }

  const std::vector<Labelled>& labelled() const { return labelled_; }
  std::vector<Halide::ImageParam>& inputs() { return inputs_; }
  std::vector<Halide::Parameter>& numbers() { return numbers_; }
  const std::vector<Halide::Parameter>& numbers_of_each() const { return each_; }
  const std::set<std::string>& buffers_of_tokens() const { return tokens_; }
  bool turns(const std::string& buffer) const { return turned_.contains(buffer); }
  bool places(const std::string& output) const { return output == placed_; }
  const std::map<std::string, std::vector<Halide::Expr>>& summed() const { return summed_; }
  bool is_state(const std::string& buffer) const { return states_.contains(buffer); }
  bool sums_state(const std::string& variable) const { return sums_of_states_.contains(variable); }
  const std::vector<Halide::Func>& outputs() const { return outputs_; }
  const std::vector<Halide::Argument>& arguments() const { return arguments_; }

 private:
  Instance instance_;
  int chunk_, grain_, taken_ = 0;
  std::vector<Halide::ImageParam> inputs_;
  std::vector<Halide::Parameter> numbers_, each_;
  std::vector<Halide::Argument> arguments_;
  std::vector<Labelled> labelled_;
  std::vector<Halide::Func> outputs_;
  std::set<std::string> tokens_, turned_, states_, sums_of_states_;
  std::map<std::string, std::vector<Halide::Expr>> summed_;
  std::string placed_;
  std::map<std::string, int> along_tokens_;
  std::map<std::string, std::string> in_place_;
  std::set<std::string> columns_;
  std::string values_, asked_;
};

// Kernels announce themselves; the build reads the same lines to know what to generate.
struct Announced {
  const char *name, *axis;
  void (*define)(Kernel&);
};
std::vector<Announced>& announced();
struct Announce {
  explicit Announce(Announced kernel) { announced().push_back(kernel); }
};

}  // namespace lathe::gen

// LATHE_KERNEL(name, axis): axis is once | transitions | uniform | maps | formulas | storage, the list that its
// instances range over; or, for rows that take all chunks of a call at once, device: once, and types: float32 and each
// storage; or, for those that walk them, host: once, and
// broadcast: once, where a multiplier from memory costs no more than one from a register.
#define LATHE_KERNEL(name, axis)                                                                  \
  static void lathe_define_##name(::lathe::gen::Kernel& kernel);                                  \
  static const ::lathe::gen::Announce lathe_announce_##name({#name, #axis, lathe_define_##name}); \
  static void lathe_define_##name([[maybe_unused]] ::lathe::gen::Kernel& kernel)
