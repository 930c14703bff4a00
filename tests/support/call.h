// Calling the library: a problem of the oracles becomes tensors, a plan and a run.
#pragma once

#include <lathe.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "reference/backward.h"
#include "reference/reference.h"
#include "support/tensor.h"

namespace support {

using reference::Answer;
using reference::Given;
using reference::Gradients;
using reference::Problem;

// The memory behind q, k, v and o: [B,T,H,D], [B,H,T,D], the first with gaps (in the states too), or backwards in T.
enum class Layout { Bthd, Bhtd, Gapped, Reversed };
const char* name_of(Layout layout);

using OpAndVariant = std::pair<std::string, std::string>;
inline std::string backward_of(const std::string& op) { return op + "_backward"; }
inline bool is_backward(const std::string& op) { return op.ends_with("_backward"); }
// For the names of tests.
std::string name_of(const OpAndVariant& op);

struct Options {
  Type type = Type::F32;
  Layout layout = Layout::Bthd;
  Edge edge = Edge::Last;
  int threads = 1;
  bool states = true;         // the final states are asked for
  bool in_place = false;      // ... in the very tensors that brought the initial ones
  bool one_key_head = false;  // all key heads are the same memory: a zero stride
  bool free_extents = false;  // the plan leaves batch, tokens and sequences open
  Type integer = Type::I64;   // of lengths, cu_seqlens, slots and positions
};

class Context {
 public:
  explicit Context(int threads);
  explicit Context(const lathe_config& config);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  lathe_context* get() const { return context_; }
  std::string error() const { return lathe_last_error(context_); }

 private:
  lathe_context* context_ = nullptr;
};
// One per number of threads, kept until the process ends.
Context& shared_context(int threads);

// The description and the tensors of one call; everything may be spoiled before it is made.
class Arguments {
 public:
  // A gradient is given some numbers of its own where the caller has none, and asked for all that there is.
  Arguments(const std::string& op, const Problem& problem, const Options& options = {}, const Given* given = nullptr);
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  lathe_desc desc{};
  std::map<uint32_t, std::shared_ptr<Tensor>> tensors;
  std::vector<lathe_arg> list() const;
  // What the outputs hold now; parts that were not asked for are empty. Of a gradient o is those of tokens, laid end to
  // end, and of the others what has the shape of the part.
  Answer outputs() const;
  Gradients gradients() const;
  std::string text() const;

 private:
  void add(uint32_t role, Type type, Extents shape, Extents strides, const std::vector<double>& values);
  void add_output(uint32_t role, Type type, Extents shape, Extents strides);
  void add_states(bool reads_keys);
  void add_gradients(const Given& given);
  std::vector<double> read(uint32_t role) const;

  std::string op_;
  Problem problem_;
  Options options_;
  std::vector<lathe_attr> attrs_;
};

class Plan {
 public:
  Plan(const Context& context, const Arguments& arguments, bool free_extents = false);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  lathe_status status;
  lathe_plan* get() const { return plan_; }
  nlohmann::json describe() const;

 private:
  lathe_plan* plan_ = nullptr;
};

lathe_status run(const Context& context, const Plan& plan, const Arguments& arguments,
                 const lathe_exec* exec = nullptr);
// Makes the call with all but whole numbers in another memory than the host's, and brings the outputs back. A program
// that tests a device sets it.
using RunElsewhere = lathe_status (*)(const Context&, const Arguments&, const Options&);
extern RunElsewhere run_elsewhere;
// The whole call; a refusal, or a byte written where none belongs, fails the test.
void perform(const Arguments& arguments, const Options& options);
Answer call(const std::string& op, const Problem& problem, const Options& options = {});

nlohmann::json list(const char* what);
std::vector<std::string> operators();  // that the library lists
// Tokens per chunk of the kernel that this call takes.
int64_t chunk_of(const std::string& op, const Problem& problem, const Options& options = {});

}  // namespace support
