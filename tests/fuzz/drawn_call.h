// A call of the C interface, drawn from bytes: first one that is valid by construction, then spoiled in as many places
// as the bytes say.
#pragma once

#include <lathe.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bytes.h"
#include "support/guarded.h"

namespace fuzz {

struct Argument {
  uint32_t role;
  enum Use { kRead, kWritten, kUpdated } use;
  std::vector<int64_t> shape, strides;  // no strides: compact
  lathe_tensor view{};
  std::optional<support::Guarded> memory;  // exactly what shape and strides reach, where that is little enough
  std::vector<unsigned char> before;       // what it held
};

class DrawnCall {
 public:
  explicit DrawnCall(Bytes& bytes);
  DrawnCall(const DrawnCall&) = delete;
  DrawnCall& operator=(const DrawnCall&) = delete;

  lathe_desc desc{};
  bool spoiled = false;    // if not, the library must accept it
  bool has_memory = true;  // every tensor has what it reaches: it may be run, and that ends soon

  std::vector<lathe_arg> list() const;
  // As a plan may see it: batch, tokens and sequences open, and no memory.
  std::vector<lathe_arg> open_list();
  std::string fault_after_refusal() const;  // outputs were touched
  std::string fault_after_run() const;      // an input was, or an output is not complete

 private:
  struct Sizes {
    int64_t B, T, TQ, HQ, HK, HV, D, V, M, K, N, rows, keys;
    int64_t state_heads() const { return HK > HV ? HK : HV; }
    int64_t out_heads() const { return HQ > HV ? HQ : HV; }
  };
  enum Type { kFloat, kFloat32, kInteger };

  void draw_description();
  void draw_heads();
  void draw_sizes();
  void draw_sequences();
  void draw_tensors();
  Argument* add(uint32_t role, Type type, std::vector<int64_t> shape, Argument::Use use = Argument::kRead);
  void add_gradients();
  void add_states(uint32_t in, uint32_t out, const std::vector<int64_t>& shape);
  void lay_out(Argument& argument);
  void spoil_description();
  void spoil_tensor(Argument& argument);
  void place(Argument& argument);
  void fill(Argument& argument);

  Bytes& bytes_;
  std::string op_, variant_, map_, attribute_;
  std::vector<lathe_attr> attributes_;
  Sizes sizes_{};
  bool normalise_ = false, stabilise_ = false, backward_ = false, decay_ = false, gate_ = false, bonus_ = false,
       keyed_ = false, steps_ = false, beta_ = false, sizes_of_steps_ = false, moves_ = false, adapts_ = false,
       rows_ = false;
  std::vector<int64_t> lengths_, cu_seqlens_, slots_, positions_;
  std::deque<Argument> arguments_;
  std::deque<Argument> open_;
};

}  // namespace fuzz
