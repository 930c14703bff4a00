// One case with its tensors. Every input is a function of its index, so whoever changes one in place (decode) leaves
// the first value known to everybody else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cases.h"

namespace lathe::bench {

// Zeroed pages, large ones where the system grants them: NumPy asks for those too.
class Memory {
 public:
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }

 private:
  void* data_;
  size_t bytes_;
};

enum class Tensor {
  kQuery,
  kKey,
  kValue,
  kState,
  kNormaliser,
  kGate,
  kOutputGradient,
  kBonus,
  kStep,
  kBeta,
  kReads,
  kAdds
};

class Problem {
 public:
  explicit Problem(const Case& c);

  // Element i of the tensor as it was first, rounded to the case's dtype.
  float first(Tensor tensor, int64_t i) const;
  // Where the row of batch b, token t, head h starts in a tensor of that many heads and that width.
  int64_t row(int64_t b, int64_t t, int64_t h, int64_t heads, int64_t width) const;
  // Numbers of the rows that read the state and add to it.
  float reads_at(int64_t b, int64_t t, int64_t h, int64_t key) const { return of_key(Tensor::kReads, b, t, h, key); }
  float adds_at(int64_t b, int64_t t, int64_t h, int64_t key) const { return of_key(Tensor::kAdds, b, t, h, key); }
  float beta_at(int64_t b, int64_t t, int64_t h) const;
  // Log of what token t leaves of a row of the state of a key head.
  float log_decay_at(int64_t b, int64_t t, int64_t h, int64_t key) const;
  float bonus_at(int64_t h, int64_t key) const;
  // A token's step; 1 where there are none.
  float step_at(int64_t b, int64_t t, int64_t h) const;
  // The output as float32; of a gradient those of queries, keys and values, one after another.
  std::vector<float> output() const;
  int64_t output_size() const;

  const Case what;
  float weight_of_key() const { return 1 / static_cast<float>(what.keys); }

  const float scale = 1, eps = 1e-6f, log_decay = -0.05f, step_size = 0.5f;
  Memory q, k, v, o, state, z, projection, gate;                // gates are float32 [B,T,H] or [B,T,H,K]
  Memory momentum, last;                                        // of the states, and their last tokens: zero at first
  Memory bonus, steps, beta;                                    // float32 [H,K], [B,T,H] and [B,T,H]
  Memory reads, adds;                                           // float32 [B,T,H,K]
  Memory d_o, d_q, d_k, d_v, d_gate, d_bonus, d_steps, d_beta;  // of gradients alone

 private:
  float of_key(Tensor tensor, int64_t b, int64_t t, int64_t h, int64_t key) const;
  void fill(const Memory& memory, Tensor tensor, int64_t count) const;
};

int64_t bytes_of(const std::string& dtype);

}  // namespace lathe::bench
